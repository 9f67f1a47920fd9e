"""`python -m eval <verb>`: the pipeline's stages after the models have run."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.layout import CONTROLS, Layout
from tpsm.errors import UserError
from tpsm.weights import FOLDER

EXAMPLES = """
in order, for a data set D of params.yaml:
  python -m eval weights                          what pretrained evaluators need, and `fetch NAME` to get it
  python -m eval evaluators --dataset D           train the joint detector and the identity encoder
  python -m eval features --dataset D             run them over the real test clips, once for all runs
  python -m eval score --dataset D --run fomm     score what a run generated
  python -m eval score --dataset D --run real     score a control; no model needed
  python -m eval coverage --dataset D             which clips these are, which are missing, and what is in both splits
  python -m eval report --dataset D               tables, figures and README.md of what has been scored
  python -m eval compare A B                      two runs' scores, or two laboratories', on the clips that both have
"""


def parser() -> argparse.ArgumentParser:
    main = argparse.ArgumentParser(
        prog="python -m eval",
        description="Scores of generated clips, and the report on them. No model is loaded: clips come from outputs/.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = main.add_subparsers(dest="verb", required=True, metavar="verb")
    about = {
        "check": "Check the section `evaluation` of params.yaml, as `tpsm configure` resolved it, for every data set.",
        "evaluators": "Train the evaluators that params.yaml names for the data set "
        "(evaluation.D.evaluators) on its training clips, and measure them on real test frames. "
        "Writes evaluators/D/{landmarks,identity}.pt and quality.json.",
        "features": "Run the trained evaluators over the real test clips. Writes features/D/<clip>.npz.",
        "score": "Score one run's reconstruction, and its animation where it has one. Reads outputs/D/RUN, writes "
        "scores/D/RUN.parquet: a row a frame and metric.",
        "coverage": "Certify which clips a prepared set has: missing ones by reason, duplicates, what train and test "
        "share, hashes. Writes reports/D/coverage.{json,md,png}.",
        "report": "Turn scores into tables with intervals, figures, metrics.json and README.md under reports/D. Runs "
        "that were not scored give n/a cells with the reason.",
    }
    for verb, text in about.items():
        command = verbs.add_parser(verb, help=text.split(". ")[0], description=text)
        if verb != "check":
            command.add_argument("--dataset", required=True, help="a name under `data` in params.yaml")
        command.add_argument("--root", type=Path, default=Path(), help="folder of the pipeline's files (default: here)")
        if verb == "score":
            controls = ", ".join(CONTROLS)
            command.add_argument("--run", required=True, help=f"a name under `runs`, or a control: {controls}")
    _weights_parser(verbs)
    _compare_parser(verbs)
    return main


def _compare_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Compare two files of scores, or two folders of them, on their common clips, by paired differences."
    command = verbs.add_parser("compare", help=text, description=text)
    command.add_argument("mine", type=Path, metavar="A", help="scores/D/RUN.parquet, or scores/D")
    command.add_argument("other", type=Path, metavar="B", help="the same, of another run or of another checkout")
    command.add_argument("--unit", choices=["clip", "identity"], default="clip", help="what intervals draw anew")


def _weights_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "List the weights of evaluators that are not trained here, or fetch and verify some. Nothing else ever does."
    command = verbs.add_parser("weights", help=text.split(". ")[0], description=text)
    command.add_argument("action", choices=["list", "fetch"], nargs="?", default="list")
    command.add_argument("names", nargs="*", metavar="NAME", help="what to fetch")
    command.add_argument("--folder", type=Path, default=FOLDER, help=f"where they are kept (default: {FOLDER})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 after one sentence on what the user can mend."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.verb == "check":
            from eval.config import check

            print(f"evaluation of {', '.join(check(options.root))}: in order")
        elif options.verb == "weights":
            from eval import weights

            if options.action == "list":
                print(weights.listing(options.folder))
            else:
                weights.fetch_all(options.names, options.folder)
        elif options.verb == "compare":
            from eval.compare import compare
            from eval.statistics import BootstrapConfig

            print(compare(options.mine, options.other, BootstrapConfig(unit=options.unit)))
        else:
            run(options.verb, Layout(options.dataset, options.root), getattr(options, "run", ""))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def run(verb: str, layout: Layout, name: str) -> None:
    # Imported here so that --help needs neither torch nor matplotlib.
    if verb == "report":
        from eval.report import write_report

        print(f"report -> {write_report(layout)}")
    elif verb == "coverage":
        from eval.coverage import write_coverage

        print(f"coverage -> {write_coverage(layout)}")
    elif verb == "score":
        from eval.score import score_run

        print(f"scores -> {score_run(layout, name)}")
    else:
        from eval.features import compute_features, train_evaluators

        train_evaluators(layout) if verb == "evaluators" else compute_features(layout)


if __name__ == "__main__":
    sys.exit(main())
