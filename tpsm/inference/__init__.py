"""Predictions from a trained method."""
