"""Draws articulated figures with exact joints and motion."""
