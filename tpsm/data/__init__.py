"""Clips: generated, read from any usual format, prepared on disk, and drawn in pairs for training."""
