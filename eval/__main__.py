"""`python -m eval <verb>`: the pipeline's stages after the models have run, and what reads their results."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from eval import cli as commands
from eval.study import cli as study
from tpsm.core.program import exit_status

EXAMPLES = """
in order, for a data set D of params.yaml:
  python -m eval weights                          what pretrained evaluators need, and `fetch NAME` to get it
  python -m eval evaluators --dataset D           train the joint detector and the identity encoder
  python -m eval features --dataset D             run them over the real test clips, once for all runs
  python -m eval score --dataset D --run fomm     score what a run generated
  python -m eval score --dataset D --run real     score a control; no model needed
  python -m eval coverage --dataset D             which clips these are, which are missing, and what is in both splits
  python -m eval report --dataset D               tables, figures and README.md of what has been scored
  python -m eval page                             reports/index.html: all reported data sets, their videos too
and then:
  python -m eval gate                             has a report become worse than its baseline?
  python -m eval verify --dataset D               do the reported numbers follow from the scores?
  python -m eval compare A B                      two runs' scores, or two laboratories', on the clips that both have
  python -m eval study make --dataset D           a page that asks people which run animates better
without a data set or a run:
  python -m eval score --real A --generated B     score frames from anywhere
  python -m eval fid --real A --generated B       FID and KID: how far the two sets of frames lie apart
"""


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(
        prog="python -m eval",
        description="Scores of generated clips, and the report on them. No model is loaded: clips come from outputs/.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = main.add_subparsers(dest="verb", required=True, metavar="verb")
    commands.add_parsers(verbs)
    study.add_parser(verbs)
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 where `verify` or `gate` find fault; 2 after one sentence on what the user can mend; 3 after one
    on what nobody foresaw."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return exit_status(_run, "python -m eval", arguments)


def _run(args: Sequence[str] | None, prog_name: str) -> None:
    main = parser()
    main.prog = prog_name
    options = main.parse_args(args)
    sys.exit(int(options.run(options) or 0))


if __name__ == "__main__":
    sys.exit(main())
