"""The verbs of `python -m eval`: what each is told, and what it calls.

What a verb needs is imported when it runs, so that --help needs neither torch nor matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from eval.scoring.controls import CONTROLS
from eval.study.cli import Root
from eval.study.cli import app as study
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.program import APPLICATION
from tpsm.downloads.pinned import FOLDER

EXAMPLES = """
\b
In order, for a data set D of params.yaml:
  python -m eval weights                          what pretrained evaluators need, and `fetch NAME` to get it
  python -m eval evaluators --dataset D           train the joint detector and the identity encoder
  python -m eval features --dataset D             run them over the real test clips, once for all runs
  python -m eval score --dataset D --run fomm     score what a run generated
  python -m eval score --dataset D --run real     score a control; no model needed
  python -m eval coverage --dataset D             which clips these are, which are missing, what is in both splits
  python -m eval report --dataset D               tables, figures and README.md of what has been scored
  python -m eval page                             reports/index.html: all reported data sets, their videos too

\b
And then:
  python -m eval gate                             is the report the committed one, cell by cell?
  python -m eval verify --dataset D               do the reported numbers follow from the scores?
  python -m eval compare A B                      two runs' scores, or two laboratories', on the clips that both have
  python -m eval study make --dataset D           a page that asks people which run animates better

\b
Without a data set or a run:
  python -m eval score --real A --generated B     score frames from anywhere
  python -m eval fid --real A --generated B       FID and KID: how far the two sets of frames lie apart
"""

app = typer.Typer(
    help="Scores of generated clips, and the report on them. No model is loaded: clips come from outputs/.",
    epilog=EXAMPLES,
    **APPLICATION,
)
app.add_typer(study, name="study")

Dataset = Annotated[str, typer.Option(help="A name under `data` in params.yaml.")]
Run = Annotated[str, typer.Option(help="A name under `runs`.")]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        help="Clips at a time on this machine, or a Dask scheduler's address.", show_default="`workers` in params.yaml"
    ),
]


class ManyValues(TyperCommand):
    """A command whose repeatable options also take their values in a row: `--generated A B`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeatable = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        spelled_out: list[str] = []
        option = None
        for word in args:
            if word.startswith("-"):
                option = word if word in repeatable else None
            elif option is not None and spelled_out[-1] != option:
                spelled_out.append(option)
            spelled_out.append(word)
        return super().parse_args(ctx, spelled_out)


@app.command()
def check(root: Root = Path()) -> None:
    """Check the section `evaluation` of params.yaml, as `tpsm configure` resolved it, for every data set."""
    from eval.stages.check import check

    datasets = check(root)
    if not datasets:
        raise UserError("There is no data set in configs/; run `tpsm configure` first.")
    print(f"evaluation of {', '.join(datasets)}: in order")


@app.command()
def weights(
    action: Annotated[Literal["list", "fetch"], typer.Argument(help="What to do.")] = "list",
    names: Annotated[list[str] | None, typer.Argument(help="What to fetch.")] = None,
    folder: Annotated[Path, typer.Option(help="Where they are kept.")] = FOLDER,
) -> None:
    """List the weights of evaluators that are not trained here, or fetch and verify some. Nothing else ever does."""
    from eval import weights

    if action == "list":
        print(weights.listing(folder))
    else:
        weights.fetch_all(names or [], folder)


@app.command()
def evaluators(
    dataset: Dataset,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Take no published ones; writes trained/D/evaluators, for `tpsm publish`.")
    ] = False,
    root: Root = Path(),
) -> None:
    """Train the evaluators that params.yaml names for the data set, and measure them on real test frames.

    They are named under evaluation.D.evaluators and learn from the training clips. Writes
    evaluators/D/networks/{landmarks,identity}.pt and quality.json.
    """
    from eval.stages.evaluators import train_evaluators

    train_evaluators(Layout(dataset, root), fresh=fresh)


@app.command()
def features(dataset: Dataset, workers: WorkersOption = None, root: Root = Path()) -> None:
    """Run the evaluators over the real test clips, once for all runs. Writes features/D/<clip>.npz."""
    from eval.stages.features import compute_features

    compute_features(Layout(dataset, root), _workers(workers, root))


@app.command()
def score(
    dataset: Annotated[str | None, typer.Option(help="A name under `data` in params.yaml.")] = None,
    run: Annotated[str | None, typer.Option(help=f"A name under `runs`, or a control: {', '.join(CONTROLS)}.")] = None,
    workers: WorkersOption = None,
    root: Root = Path(),
    real: Annotated[
        Path | None,
        typer.Option(help="Frames from anywhere: folder of real clips (videos, GIFs, strips, folders of frames)."),
    ] = None,
    generated: Annotated[
        Path | None, typer.Option(help="With --real: folder of generated clips, called alike up to the first '.'.")
    ] = None,
    landmarks: Annotated[
        str | None, typer.Option(metavar="KIND", help="With --real: dlib68, fan or rtmpose, for AKD and MKR.")
    ] = None,
    identity: Annotated[str | None, typer.Option(metavar="KIND", help="With --real: dlib-face, for AED.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="With --real: a metric of your own, beside ours; repeat it for several."),
    ] = None,
    resize: Annotated[
        bool, typer.Option("--resize", help="With --real: bring generated frames to the real ones' size.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --real: where the scores of frames go, .parquet or .csv.")
    ] = None,
) -> None:
    """Score one run's reconstruction, and its animation where it has one.

    Reads outputs/D/RUN, writes scores/D/RUN.parquet: one row per frame, metric and protocol.

    With --real and --generated: score frames from anywhere. This needs no data set, no run and no params.yaml.
    """
    of_folders = {"landmarks": landmarks, "identity": identity, "metric": metric, "resize": resize, "out": out}

    # Frames from anywhere.
    if real or generated:
        if not (real and generated) or dataset or run:
            raise UserError("score: --real and --generated go together, and without --dataset and --run.")
        _refuse({"workers": workers}, "--dataset and --run")
        from eval.config import EvaluatorsConfig
        from eval.folders.score import Request, parse_evaluator, score_folders

        evaluators = EvaluatorsConfig(parse_evaluator(landmarks), parse_evaluator(identity))
        print(score_folders(Request(real, generated, evaluators, resize, tuple(metric or ())), out))
        return

    # A run of the pipeline.
    if not (dataset and run):
        raise UserError("score: name --dataset and --run, or --real and --generated.")
    _refuse(of_folders, "--real and --generated")
    from eval.stages.score import score_run

    print(f"scores -> {score_run(Layout(dataset, root), run, _workers(workers, root))}")


def _refuse(options: Mapping[str, object], others: str) -> None:
    """Options that would be silently ignored."""
    for name, value in options.items():
        if value:
            raise UserError(f"score: --{name} goes with {others}.")


def _workers(option: str | None, root: Path) -> int | str:
    from tpsm.jobs.map import chosen_workers

    return chosen_workers(option, root / "configs")


@app.command(cls=ManyValues)
def fid(
    real: Annotated[Path, typer.Option(help="Folder of clips: videos, GIFs, strips, folders of frames.")],
    generated: Annotated[list[Path], typer.Option(metavar="DIR...", help="One folder or several.")],
    every: Annotated[
        int, typer.Option(min=1, max=1_000_000, metavar="N", help="Take every Nth frame of a clip.", show_default="all")
    ] = 1,
) -> None:
    """FID and KID of folders of generated frames against a folder of real ones, as sets. Clips need no partner.

    Needs Inception's weights: python -m eval weights fetch inception.
    """
    from eval.folders.fid import Request, compare_sets

    print(compare_sets(Request(real, tuple(generated), every)))


@app.command()
def coverage(dataset: Dataset, root: Root = Path()) -> None:
    """Certify which clips a prepared set has.

    Missing ones by reason, duplicates, what train and test share, hashes. Writes reports/D/coverage.{json,md,png}.
    """
    from eval.stages.coverage import write_coverage

    print(f"coverage -> {write_coverage(Layout(dataset, root))}")


@app.command()
def report(dataset: Dataset, root: Root = Path()) -> None:
    """Turn scores into tables with intervals, figures, metrics.json and README.md under reports/D.

    Runs that were not scored give n/a cells with the reason.
    """
    from eval.stages.report import write_report

    print(f"report -> {write_report(Layout(dataset, root))}")


@app.command()
def page(root: Root = Path()) -> None:
    """Make reports/index.html of what the reports of all data sets left in pages/.

    One file with answers, tables, videos, figures, failures and provenance, that needs no network.
    """
    from eval.stages.page import write_index

    print(f"page -> {write_index(root)}")


@app.command()
def gate(
    action: Annotated[Literal["check", "measure"], typer.Argument(help="What to do.")] = "check",
    files: Annotated[list[Path] | None, typer.Argument(help="For measure: the metrics.json of such reports.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="One data set.", show_default="for check: all with published weights")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Another metrics.json than that of git's last commit.")] = None,
    root: Root = Path(),
) -> None:
    """Is the report the committed one, cell by cell?

    Holds reports/D/metrics.json against the committed one. Exit status 1 where a number is another. `gate measure`
    writes reports/D/tolerance.json: how far reports of the same weights lie apart that were computed with other
    kernels, numbers of threads or machines.
    """
    from eval.checks.gate import check_reports, measure_reports

    if action == "measure":
        measure_reports(root, dataset, files or [])
    elif files:
        raise UserError("gate: files go with `gate measure`; name one to compare with by --baseline.")
    elif not check_reports(root, dataset, baseline):
        raise typer.Exit(1)


@app.command()
def verify(dataset: Dataset, root: Root = Path()) -> None:
    """Draw the tables and metrics.json again from the stored scores, and compare them with reports/D.

    Needs scores, configs and the manifest of the clips; no model, no frames. Exit status 1 where a file differs.
    """
    from eval.checks.verify import verify

    found = verify(Layout(dataset, root))
    print("\n".join(f"{'matches' if same else 'differs'}  {file}" for file, same in found.items()))
    raise typer.Exit(int(not all(found.values())))


@app.command()
def compare(
    mine: Annotated[Path, typer.Argument(metavar="A", help="scores/D/RUN.parquet, or scores/D.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="The same, of another run or of another checkout.")],
    unit: Annotated[
        Literal["clip", "identity"], typer.Option(help="What intervals draw anew: clips of an identity go together.")
    ] = "identity",
) -> None:
    """Compare two files of scores, or two folders of them, on their common clips, by paired differences."""
    from eval.checks.compare import compare
    from eval.stats.config import BootstrapConfig

    print(compare(mine, other, BootstrapConfig(unit=unit)))


@app.command()
def bench(
    dataset: Dataset,
    run: Run,
    frames: Annotated[int, typer.Option(min=1, max=1_000_000, help="About so many.")] = 1000,
    root: Root = Path(),
) -> None:
    """Score some frames of RUN, and print the evaluators' own time, that of scoring as a whole, and their ratio.

    Keeps no scores.
    """
    from eval.stages.bench import bench

    print(bench(Layout(dataset, root), run, frames).text())
