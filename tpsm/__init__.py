"""Thin-Plate Spline Motion Model (CVPR 2022), and what every animation method of the benchmark shares."""

__version__ = "0.1.0"
