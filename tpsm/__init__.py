"""Thin-Plate Spline Motion Model (CVPR 2022), and what every animation method of the benchmark shares."""

import os

# PyTorch's threads spin while they wait for each other, by OpenMP's default. On a machine that does anything else at the
# same time (a second training, a browser) that makes small networks some twenty times slower. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
