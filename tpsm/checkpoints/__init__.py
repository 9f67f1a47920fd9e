"""Method weights on disk."""
