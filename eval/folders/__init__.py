"""Scoring without a data set or a run: two folders of frames."""
