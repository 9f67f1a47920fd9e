"""From features to scores: one row per frame, metric and protocol."""
