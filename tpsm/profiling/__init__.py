"""Predicts and measures what a run costs: operations, memory and time."""
