"""Weights that are trained once, published, and taken in the place of training: files, their cards, and their clips."""
