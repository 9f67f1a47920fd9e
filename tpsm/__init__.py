"""Thin-Plate Spline Motion Model (CVPR 2022), and what every animation method of the benchmark shares."""

import os

# PyTorch's threads spin while they wait for each other. By OpenMP's default they do so for so long that a small network
# trains ten times slower as soon as the machine does anything else; a short spin keeps most of the speed of an idle
# machine and loses little on a busy one. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

__version__ = "0.1.0"
