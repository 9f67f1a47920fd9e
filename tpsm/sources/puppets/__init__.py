"""Articulated figures, drawn with exact joints and motion."""
