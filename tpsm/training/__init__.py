"""The training loop, its configuration, the optimizer and the devices."""
