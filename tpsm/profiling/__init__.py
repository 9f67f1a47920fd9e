"""What a run costs: operations, memory and time."""
