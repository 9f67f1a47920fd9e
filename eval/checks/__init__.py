"""Questions to finished reports and scores."""
