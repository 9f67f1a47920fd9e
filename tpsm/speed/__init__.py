"""Compares this package's speed with the released code's, and measures how cost grows."""
