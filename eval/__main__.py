"""`python -m eval <verb>`: the pipeline's stages after the models have run, and what reads their results."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from eval.cli import app
from tpsm.core.program import exit_status


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 where `verify` or `gate` find fault; 2 after one sentence on what the user can mend; 3 after one
    on what nobody foresaw."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_status(app, "python -m eval", arguments)


if __name__ == "__main__":
    sys.exit(main())
