"""`python -m eval <verb>`: the pipeline's stages after the models have run."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.layout import CONTROLS, Layout
from eval.study import command as study
from tpsm.errors import UserError
from tpsm.weights import FOLDER

EXAMPLES = """
in order, for a data set D of params.yaml:
  python -m eval weights                          what pretrained evaluators need, and `fetch NAME` to get it
  python -m eval evaluators --dataset D           train the joint detector and the identity encoder
  python -m eval features --dataset D             run them over the real test clips, once for all runs
  python -m eval score --dataset D --run fomm     score what a run generated
  python -m eval score --dataset D --run real     score a control; no model needed
  python -m eval score --real A --generated B     score frames from anywhere; no data set needed
  python -m eval report --dataset D               tables, figures and README.md of what has been scored
  python -m eval gate                             has a report become worse than its baseline?
  python -m eval verify --dataset D               do the reported numbers follow from the scores?
  python -m eval page                             reports/index.html: all reported data sets, their videos too
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
        "Writes evaluators/D/networks/{landmarks,identity}.pt and quality.json.",
        "features": "Run the trained evaluators over the real test clips. Writes features/D/<clip>.npz.",
        "score": "Score one run's reconstruction, and its animation where it has one. Reads outputs/D/RUN, writes "
        "scores/D/RUN.parquet: a row a frame and metric. With --real and --generated: score frames from anywhere.",
        "bench": "Score some frames of RUN, and print the evaluators' own time, that of scoring as a whole, and their "
        "ratio. Keeps no scores.",
        "report": "Turn scores into tables with intervals, figures, metrics.json and README.md under reports/D. Runs "
        "that were not scored give n/a cells with the reason.",
        "verify": "Draw the tables and metrics.json again from the stored scores, and compare them with reports/D. "
        "Needs scores, configs and the manifest of the clips; no model, no frames. Exit status 1 where a file differs.",
        "page": "Make reports/index.html of what the reports of all data sets left in pages/: one file with answers, "
        "tables, videos, figures, failures and provenance, that needs no network.",
    }
    for verb, text in about.items():
        command = verbs.add_parser(verb, help=text.split(". ")[0], description=text)
        if verb not in ("check", "page"):
            command.add_argument("--dataset", required=verb != "score", help="a name under `data` in params.yaml")
        command.add_argument("--root", type=Path, default=Path(), help="folder of the pipeline's files (default: here)")
        if verb == "score":
            controls = ", ".join(CONTROLS)
            command.add_argument("--run", help=f"a name under `runs`, or a control: {controls}")
            _external_options(command)
        if verb == "bench":
            command.add_argument("--run", required=True, help="a name under `runs`")
            command.add_argument("--frames", type=int, default=1000, help="about so many (default: %(default)s)")
        if verb in ("features", "score"):
            where = "clips at a time on this machine, or a Dask scheduler's address (default: `workers` in params.yaml)"
            command.add_argument("--workers", help=where)
    _gate_parser(verbs)
    _weights_parser(verbs)
    study.add_parser(verbs)
    return main


def _external_options(score: argparse.ArgumentParser) -> None:
    group = score.add_argument_group("frames from anywhere", "needs no data set, no run and no params.yaml")
    group.add_argument("--real", type=Path, help="folder of real clips: videos, GIFs, strips, folders of frames")
    group.add_argument("--generated", type=Path, help="folder of generated ones, called alike up to the first '.'")
    group.add_argument("--landmarks", metavar="KIND", help="dlib68, fan or rtmpose, for AKD and MKR")
    group.add_argument("--identity", metavar="KIND", help="dlib-face, for AED")
    group.add_argument("--resize", action="store_true", help="bring generated frames to the real ones' size")
    group.add_argument("--out", type=Path, help="where the scores of frames go: .parquet or .csv")


def _gate_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = (
        "Hold reports/D/metrics.json against reports/D/baseline.json: has a cell become worse than an honest re-run "
        "could be? Exit status 1 where one has. `gate baseline` writes the baseline from a report and its re-runs."
    )
    command = verbs.add_parser("gate", help="Hold a report against its committed baseline.", description=text)
    command.add_argument("action", choices=["check", "baseline"], nargs="?", default="check")
    command.add_argument("--dataset", help="one data set (default, for check: all with a baseline)")
    command.add_argument("--root", type=Path, default=Path(), help="folder of the pipeline's files (default: here)")
    command.add_argument("--report", type=Path, help="another metrics.json in the place of the report's")
    files = {"type": Path, "nargs": "+", "default": [], "metavar": "FILE"}
    command.add_argument("--repeats", help="baseline: metrics.json of re-runs of the same seed, elsewhere", **files)
    command.add_argument("--seeds", help="baseline: metrics.json of other training seeds, for information", **files)


def _weights_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "List the weights of evaluators that are not trained here, or fetch and verify some. Nothing else ever does."
    command = verbs.add_parser("weights", help=text.split(". ")[0], description=text)
    command.add_argument("action", choices=["list", "fetch"], nargs="?", default="list")
    command.add_argument("names", nargs="*", metavar="NAME", help="what to fetch")
    command.add_argument("--folder", type=Path, default=FOLDER, help=f"where they are kept (default: {FOLDER})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 where `verify` or `gate` find fault; 2 after one sentence on what the user can mend."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.verb == "check":
            from eval.config import check

            print(f"evaluation of {', '.join(check(options.root))}: in order")
        elif options.verb == "study":
            study.run(options)
        elif options.verb == "page":
            from eval.web.index import write_index

            print(f"page -> {write_index(options.root)}")
        elif options.verb == "weights":
            from eval import weights

            if options.action == "list":
                print(weights.listing(options.folder))
            else:
                weights.fetch_all(options.names, options.folder)
        elif options.verb == "bench":
            from eval.bench import bench

            print(bench(Layout(options.dataset, options.root), options.run, options.frames).text())
        elif options.verb == "verify":
            from eval.verify import verify

            findings = verify(Layout(options.dataset, options.root))
            print("\n".join(str(finding) for finding in findings))
            return int(any(finding.differs for finding in findings))
        elif options.verb == "gate":
            from eval.gate import run_gate

            return run_gate(options)
        elif options.verb == "score" and (options.real or options.generated):
            print(_score_folders(options))
        else:
            if options.verb == "score" and not (options.dataset and options.run):
                raise UserError("score: name --dataset and --run, or --real and --generated.")
            layout = Layout(options.dataset, options.root)
            run(options.verb, layout, getattr(options, "run", ""), getattr(options, "workers", None))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _score_folders(options: argparse.Namespace) -> str:
    if not (options.real and options.generated) or options.dataset or options.run:
        raise UserError("score: --real and --generated go together, and without --dataset and --run.")
    from eval.config import EvaluatorsConfig
    from eval.external import Request, score_folders, section

    evaluators = EvaluatorsConfig(section(options.landmarks), section(options.identity))
    return score_folders(Request(options.real, options.generated, evaluators, options.resize), options.out)


def run(verb: str, layout: Layout, name: str, workers: str | None) -> None:
    # Imported here so that --help needs neither torch nor matplotlib.
    if verb == "report":
        from eval.report import write_report

        print(f"report -> {write_report(layout)}")
    elif verb == "score":
        from eval.score_stage import score_run
        from tpsm.config import chosen_workers

        print(f"scores -> {score_run(layout, name, chosen_workers(workers, layout.root / 'configs'))}")
    elif verb == "features":
        from eval.features import compute_features
        from tpsm.config import chosen_workers

        compute_features(layout, chosen_workers(workers, layout.root / "configs"))
    else:
        from eval.features import train_evaluators

        train_evaluators(layout)


if __name__ == "__main__":
    sys.exit(main())
