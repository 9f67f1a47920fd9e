"""The verbs of `python -m eval`: what each is told, and what it calls.

What a verb needs is imported when it runs, so that --help needs neither torch nor matplotlib.
"""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from eval.scoring.controls import CONTROLS
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.downloads.pinned import FOLDER

Verbs: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"
WORKERS = "clips at a time on this machine, or a Dask scheduler's address (default: `workers` in params.yaml)"


def add_parsers(verbs: Verbs) -> None:
    _check(verbs)
    _weights(verbs)
    _evaluators(verbs)
    _features(verbs)
    _score(verbs)
    _fid(verbs)
    _coverage(verbs)
    _report(verbs)
    _page(verbs)
    _gate(verbs)
    _verify(verbs)
    _compare(verbs)
    _bench(verbs)


def _verb(verbs: Verbs, name: str, run: Callable[[Namespace], int | None], text: str) -> ArgumentParser:
    """The first sentence of `text` stands in the list of verbs, all of it in the verb's own help."""
    verb = verbs.add_parser(name, help=text.split(". ")[0].rstrip("."), description=text)
    verb.set_defaults(run=run)
    return verb


def _dataset(verb: ArgumentParser, *, required: bool = True, text: str = "a name under `data` in params.yaml") -> None:
    verb.add_argument("--dataset", required=required, help=text)
    _root(verb)


def _root(verb: ArgumentParser) -> None:
    verb.add_argument("--root", type=Path, default=Path(), help="folder of the pipeline's files (default: here)")


def _layout(options: Namespace) -> Layout:
    return Layout(options.dataset, options.root)


def _check(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.stages.check import check

        found = check(options.root)
        if not found:
            raise UserError("There is no data set in configs/; run `tpsm configure` first.")
        print(f"evaluation of {', '.join(found)}: in order")

    text = "Check the section `evaluation` of params.yaml, as `tpsm configure` resolved it, for every data set."
    _root(_verb(verbs, "check", run, text))


def _weights(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval import weights

        if options.action == "list":
            print(weights.listing(options.folder))
        else:
            weights.fetch_all(options.names, options.folder)

    text = "List the weights of evaluators that are not trained here, or fetch and verify some. Nothing else ever does."
    verb = _verb(verbs, "weights", run, text)
    verb.add_argument("action", choices=["list", "fetch"], nargs="?", default="list")
    verb.add_argument("names", nargs="*", metavar="NAME", help="what to fetch")
    verb.add_argument("--folder", type=Path, default=FOLDER, help=f"where they are kept (default: {FOLDER})")


def _evaluators(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.stages.evaluators import train_evaluators

        train_evaluators(_layout(options), fresh=options.fresh)

    text = (
        "Train the evaluators that params.yaml names for the data set (evaluation.D.evaluators) on its training clips, "
        "and measure them on real test frames. Writes evaluators/D/networks/{landmarks,identity}.pt and quality.json."
    )
    verb = _verb(verbs, "evaluators", run, text)
    _dataset(verb)
    verb.add_argument(
        "--fresh", action="store_true", help="take no published ones; writes trained/D/evaluators, for `tpsm publish`"
    )


def _features(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.stages.features import compute_features
        from tpsm.jobs.map import chosen_workers

        compute_features(_layout(options), chosen_workers(options.workers, options.root / "configs"))

    text = "Run the evaluators over the real test clips, once for all runs. Writes features/D/<clip>.npz."
    verb = _verb(verbs, "features", run, text)
    _dataset(verb)
    verb.add_argument("--workers", help=WORKERS)


def _score(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        if options.real or options.generated:
            print(_score_folders(options))
            return
        if not (options.dataset and options.run_name):
            raise UserError("score: name --dataset and --run, or --real and --generated.")
        _refuse(options, "score: {} goes with --real and --generated.", "landmarks", "identity", "resize", "out")
        from eval.stages.score import score_run
        from tpsm.jobs.map import chosen_workers

        workers = chosen_workers(options.workers, options.root / "configs")
        print(f"scores -> {score_run(_layout(options), options.run_name, workers)}")

    text = (
        "Score one run's reconstruction, and its animation where it has one. Reads outputs/D/RUN, writes "
        "scores/D/RUN.parquet: a row a frame, metric and protocol. With --real and --generated: score frames from "
        "anywhere."
    )
    verb = _verb(verbs, "score", run, text)
    _dataset(verb, required=False)
    _run_name(verb, f"a name under `runs`, or a control: {', '.join(CONTROLS)}", required=False)
    verb.add_argument("--workers", help=WORKERS)
    group = verb.add_argument_group("frames from anywhere", "needs no data set, no run and no params.yaml")
    group.add_argument("--real", type=Path, help="folder of real clips: videos, GIFs, strips, folders of frames")
    group.add_argument("--generated", type=Path, help="folder of generated ones, called alike up to the first '.'")
    group.add_argument("--landmarks", metavar="KIND", help="dlib68, fan or rtmpose, for AKD and MKR")
    group.add_argument("--identity", metavar="KIND", help="dlib-face, for AED")
    group.add_argument("--resize", action="store_true", help="bring generated frames to the real ones' size")
    group.add_argument("--out", type=Path, help="where the scores of frames go: .parquet or .csv")


def _run_name(verb: ArgumentParser, text: str, *, required: bool = True) -> None:
    verb.add_argument("--run", dest="run_name", metavar="RUN", required=required, help=text)


def _score_folders(options: Namespace) -> str:
    if not (options.real and options.generated) or options.dataset or options.run_name:
        raise UserError("score: --real and --generated go together, and without --dataset and --run.")
    _refuse(options, "score: {} goes with --dataset and --run.", "workers")
    from eval.config import EvaluatorsConfig
    from eval.folders.score import Request, score_folders, section

    evaluators = EvaluatorsConfig(section(options.landmarks), section(options.identity))
    return score_folders(Request(options.real, options.generated, evaluators, options.resize), options.out)


def _refuse(options: Namespace, sentence: str, *names: str) -> None:
    """Options that would be silently ignored."""
    if given := [f"--{name}" for name in names if getattr(options, name)]:
        raise UserError(sentence.format(given[0]))


def _fid(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.folders.fid import Request, compare_sets

        print(compare_sets(Request(options.real, tuple(options.generated), options.every)))

    text = (
        "FID and KID of folders of generated frames against a folder of real ones, as sets. Clips need no partner. "
        "Needs Inception's weights: python -m eval weights fetch inception."
    )
    verb = _verb(verbs, "fid", run, text)
    verb.add_argument(
        "--real", type=Path, required=True, help="folder of clips: videos, GIFs, strips, folders of frames"
    )
    verb.add_argument("--generated", type=Path, required=True, nargs="+", metavar="DIR", help="one folder or several")
    verb.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth frame of a clip (default: all)")


def _coverage(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.stages.coverage import write_coverage

        print(f"coverage -> {write_coverage(_layout(options))}")

    text = (
        "Certify which clips a prepared set has: missing ones by reason, duplicates, what train and test share, "
        "hashes. Writes reports/D/coverage.{json,md,png}."
    )
    _dataset(_verb(verbs, "coverage", run, text))


def _report(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.stages.report import write_report

        print(f"report -> {write_report(_layout(options))}")

    text = (
        "Turn scores into tables with intervals, figures, metrics.json and README.md under reports/D. Runs that were "
        "not scored give n/a cells with the reason."
    )
    _dataset(_verb(verbs, "report", run, text))


def _page(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.stages.page import write_index

        print(f"page -> {write_index(options.root)}")

    text = (
        "Make reports/index.html of what the reports of all data sets left in pages/. One file with answers, tables, "
        "videos, figures, failures and provenance, that needs no network."
    )
    _root(_verb(verbs, "page", run, text))


def _gate(verbs: Verbs) -> None:
    def run(options: Namespace) -> int:
        from eval.checks.gate import run_gate

        return run_gate(options)

    text = (
        "Hold reports/D/metrics.json against the committed one, cell by cell. Exit status 1 where a number is another. "
        "`gate measure` writes reports/D/tolerance.json: how far reports of the same weights lie apart that were "
        "computed with other kernels, numbers of threads or machines."
    )
    verb = _verb(verbs, "gate", run, text)
    verb.add_argument("action", choices=["check", "measure"], nargs="?", default="check")
    verb.add_argument("files", type=Path, nargs="*", metavar="FILE", help="measure: the metrics.json of such reports")
    _dataset(verb, required=False, text="one data set (default, for check: all with published weights)")
    verb.add_argument("--baseline", type=Path, help="another metrics.json than the one in git's last commit")


def _verify(verbs: Verbs) -> None:
    def run(options: Namespace) -> int:
        from eval.checks.verify import verify

        findings = verify(_layout(options))
        print("\n".join(str(finding) for finding in findings))
        return int(any(finding.differs for finding in findings))

    text = (
        "Draw the tables and metrics.json again from the stored scores, and compare them with reports/D. Needs scores, "
        "configs and the manifest of the clips; no model, no frames. Exit status 1 where a file differs."
    )
    _dataset(_verb(verbs, "verify", run, text))


def _compare(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.checks.compare import compare
        from eval.stats.config import BootstrapConfig

        print(compare(options.mine, options.other, BootstrapConfig(unit=options.unit)))

    text = "Compare two files of scores, or two folders of them, on their common clips, by paired differences."
    verb = _verb(verbs, "compare", run, text)
    verb.add_argument("mine", type=Path, metavar="A", help="scores/D/RUN.parquet, or scores/D")
    verb.add_argument("other", type=Path, metavar="B", help="the same, of another run or of another checkout")
    verb.add_argument("--unit", choices=["clip", "identity"], default="clip", help="what intervals draw anew")


def _bench(verbs: Verbs) -> None:
    def run(options: Namespace) -> None:
        from eval.stages.bench import bench, bench_workers
        from tpsm.jobs.map import as_workers

        if options.workers:
            workers = [as_workers(count, "--workers") for count in options.workers]
            for line in bench_workers(_layout(options), options.run_name, options.clips, workers):
                print(line, flush=True)
        else:
            print(bench(_layout(options), options.run_name, options.frames).text())

    text = (
        "Score some frames of RUN, and print the evaluators' own time, that of scoring as a whole, and their ratio. "
        "With --workers: how many clips a second are scored with each of these numbers of workers. Keeps no scores."
    )
    verb = _verb(verbs, "bench", run, text)
    _dataset(verb)
    _run_name(verb, "a name under `runs`")
    verb.add_argument("--frames", type=int, default=1000, help="about so many (default: %(default)s)")
    verb.add_argument("--workers", nargs="+", metavar="N", help="numbers of workers to compare")
    verb.add_argument("--clips", type=int, default=100, help="with --workers: at most so many (default: %(default)s)")
