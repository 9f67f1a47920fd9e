"""Runs one function over many clips: in processes or on a cluster, and resumable."""
