"""Weights of methods on disk: this project's checkpoints, and the authors' released ones."""
