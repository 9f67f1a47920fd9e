"""Holds the command line `tpsm`."""

from tpsm.cli.main import main

__all__ = ["main"]
