"""Where raw clips come from, and which of them are there."""
