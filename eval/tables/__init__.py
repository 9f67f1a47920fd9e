"""From scores to tables, and their formats."""
