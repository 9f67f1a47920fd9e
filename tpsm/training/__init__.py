"""Trains any method: the loop, its configuration, the optimizer and the devices."""
