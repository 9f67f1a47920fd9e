"""Makes predictions with a trained method."""
