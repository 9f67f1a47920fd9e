"""Defines the commands of `tpsm`: the stages of the pipeline, and the work that people do by hand."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tpsm.cli import data as cli_data
from tpsm.cli import show as cli_show
from tpsm.cli.names import finite_option, name_option
from tpsm.cli.show import Mode
from tpsm.core.layout import Layout
from tpsm.core.program import APPLICATION, exit_status

app = typer.Typer(
    help="Train, reconstruct and animate with TPSMM, FOMM and MRAA. `dvc repro` runs all stages in order; "
    "`python -m eval --help` lists the scoring ones.",
    **APPLICATION,
)
splits = typer.Typer(help="Named splits of data sets, in files that never change again.", no_args_is_help=True)
app.add_typer(splits, name="split")
for command in (
    cli_show.demo,
    cli_show.animate,
    cli_show.doctor,
    cli_data.synthesize,
    cli_data.fetch,
    cli_data.weights,
):
    app.command()(command)
Dataset = Annotated[str, typer.Option(callback=name_option, help="A name under `data` in params.yaml.")]
Run = Annotated[str, typer.Option(callback=name_option, help="A name under `run` in params.yaml.")]
DatasetArgument = Annotated[str, typer.Argument(callback=name_option)]
RunArgument = Annotated[str, typer.Argument(callback=name_option)]
Workers = Annotated[
    str | None,
    typer.Option(
        help="Clips at a time on this machine, or a Dask scheduler's address; `workers` in params.yaml if not."
    ),
]
ParamsFile = Annotated[Path, typer.Option(help="The parameters to check and resolve.")]


@app.callback()
def options(
    root: Annotated[
        Path,
        typer.Option(
            help="Folder of the pipeline's files; all other paths are seen from there.",
            exists=True,
            file_okay=False,
            show_default="here",
        ),
    ] = Path(),
) -> None:
    """Goes to the folder of the pipeline's files before any command."""
    os.chdir(root)


@app.command()
def configure(params: ParamsFile = Path("params.yaml"), out: Path = Path("configs")) -> None:
    """Check params.yaml as a whole, and write one resolved file for each stage."""
    from tpsm.stages.configure import configure

    print(f"{len(configure(params, out))} resolved files -> {out}; `python -m eval check` looks at `evaluation`")


@app.command()
def outside(params: ParamsFile = Path("params.yaml")) -> None:
    """Write what params.yaml names outside this repository, and how it is now -> outside.yaml (docs/extending.md)."""
    from tpsm.config.outside import write_outside

    write_outside(params)


@app.command()
def params(dataset: DatasetArgument, run: RunArgument, params: ParamsFile = Path("params.yaml")) -> None:
    """Print everything that decides RUN on DATASET, defaults included."""
    from tpsm.config.params import data_section, read_params, resolve_run
    from tpsm.core.schema import as_yaml

    read = read_params(params)
    config, avd = resolve_run(read, dataset, run)
    data = data_section(read, dataset).raw
    print(as_yaml(config) + as_yaml({"avd": asdict(avd), "data": asdict(data)}), end="")


@app.command()
def prepare(dataset: Dataset, workers: Workers = None) -> None:
    """Prepare data/raw/DATASET -> data/clips/DATASET: one lossless file per clip, and a manifest."""
    from tpsm.jobs.map import chosen_workers
    from tpsm.stages.prepare import prepare_dataset

    prepare_dataset(dataset, chosen_workers(workers))


@splits.command()
def make(
    dataset: DatasetArgument, name: Annotated[str, typer.Argument(help="With a version at its end, as protocol-v1.")]
) -> None:
    """Publish how a prepared set is split -> splits/DATASET/NAME.csv, for `data.DATASET.split: NAME` in params.yaml."""
    from tpsm.data.manifest import read_manifest
    from tpsm.data.splits import make_split

    clips = Layout(dataset).clips
    print(f"split -> {make_split(read_manifest(clips), clips, name)}")


@app.command()
def train(dataset: Dataset, run: Run) -> None:
    """Train RUN -> models/DATASET/RUN, on every GPU in sight. Interrupted, the same command goes on from where it was.

    On several machines torchrun starts it: see docs/papers-scale.md.
    """
    from tpsm.stages.train import train_run

    train_run(dataset, run)


@app.command()
def train_avd(dataset: Dataset, run: Run) -> None:
    """Train the network that disentangles pose from identity for a trained RUN -> avd/DATASET/RUN."""
    from tpsm.stages.train_avd import train_avd

    train_avd(dataset, run)


@app.command()
def train_all(
    dataset: Annotated[
        list[str] | None, typer.Option(help="Repeat it for several; those with published weights without it.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="Runs at a time: one for each core, on a GPU at most 8, without it."),
    ] = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Train every run of a data set from scratch, and the AVD networks -> trained/DATASET.

    Published weights are not taken. First a line says how long it will take. Interrupted, the same command goes on
    from where it was.
    """
    from tpsm.stages.train_all import train_all

    train_all(params, dataset or [], jobs)


@app.command()
def publish(
    dataset: Dataset,
    run: Annotated[list[str] | None, typer.Option(help="Repeat it for several; all without it.")] = None,
    limit_mb: Annotated[float, typer.Option(min=0, help="Refuse more than so much in all.")] = 30.0,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Write what `tpsm train-all` trained as published weights: in half precision, with a card each.

    They go into the folder that `data.DATASET.weights` names, or weights/DATASET.
    """
    from tpsm.stages.publish import publish

    print(publish(params, dataset, run or [], limit_mb))


@app.command()
def check_training(
    write: Annotated[
        bool, typer.Option("--write", help="Renew the committed losses: training is meant to differ.")
    ] = False,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Compare every method's losses of 20 first steps, in double precision, with reports/training-losses.json.

    Exit status 1 where one differs. It takes seconds, on a few of the embedded clips, and needs no other data.
    """
    from tpsm.stages.check_training import COMMITTED, check_training, write_training_losses

    if write:
        write_training_losses(params)
        print(f"losses -> {COMMITTED}")
        return
    differences = check_training(params)
    print("\n".join(f"FAIL  {text}" for text in differences) or f"training computes what {COMMITTED} says")
    raise typer.Exit(int(bool(differences)))


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file that the released code of TPSMM, FOMM or MRAA wrote.")],
    dataset: Dataset,
    run: Run,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Take the weights of a released checkpoint as RUN's -> models/DATASET/RUN, and avd/DATASET/RUN where it has AVD.

    A run with `released: FILE` in params.yaml does the same as a part of the pipeline.
    """
    from tpsm.config.params import data_section, read_params, resolve_run
    from tpsm.stages.import_released import import_file

    read = read_params(params)
    config, avd = resolve_run(read, dataset, run)
    import_file(file, config, avd.model, data_section(read, dataset).raw.fit)


@app.command()
def reconstruct(dataset: Dataset, run: Run, workers: Workers = None) -> None:
    """Reconstruct every test clip from its first frame -> outputs/DATASET/RUN/reconstruction."""
    from tpsm.jobs.map import chosen_workers
    from tpsm.stages.reconstruct import reconstruct_run

    reconstruct_run(dataset, run, chosen_workers(workers))


@app.command()
def animate_pairs(
    dataset: Dataset,
    run: Run,
    mode: Annotated[list[Mode], typer.Option(help="Repeat it for several modes.")],
    workers: Workers = None,
) -> None:
    """Animate the fixed cross-identity pairs of the test clips -> outputs/DATASET/RUN/animation/MODE."""
    from tpsm.jobs.map import chosen_workers
    from tpsm.stages.animate import animate_run

    animate_run(dataset, run, tuple(m.value for m in mode), chosen_workers(workers))


@app.command()
def cost(
    dataset: DatasetArgument,
    run: RunArgument,
    tflops: Annotated[
        float, typer.Option(min=1e-6, max=1e9, callback=finite_option, help="TFLOP/s that training reaches.")
    ] = 100.0,
    items: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="Training identities (or clips), if not yet known.")
    ] = None,
    measure: Annotated[int, typer.Option(min=0, max=1_000_000, help="Also time so many training steps here.")] = 0,
    batch: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Pairs a measured step, if not the run's.")
    ] = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Print what training RUN on DATASET takes: operations by module, memory by batch, and time."""
    from tqdm import tqdm

    from tpsm.config.params import read_params
    from tpsm.profiling.cost_report import pages

    parts = pages(read_params(params), dataset, run, tflops, items, measure, batch)
    for page in tqdm(parts, "cost", total=4 + (measure > 0), unit="part", leave=False, disable=None):
        with tqdm.external_write_mode():
            print(page, flush=True)


@app.command()
def bench(
    only: Annotated[list[str] | None, typer.Option(help="Measure this part alone; repeat it for several.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure all anew, also what is there.")] = False,
    out: Annotated[Path, typer.Option(help="Where <machine>.json and its plot go.")] = Path("reports/bench"),
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Compare this package's speed with the released code's on this machine, both in turn.

    Parts: growth, reconstruction, reconstruction-2-threads, reconstruction-small, training-small, training, data and
    scoring (of what `make repro` made). They take about half an hour on a CPU; interrupted, the same command
    goes on from where it was.
    """
    from tpsm.speed.bench import bench, table

    path = bench(params, out, only or [], fresh)
    print(f"{table(path)}\n{path}")


@app.command()
def bench_gpu(
    method: Annotated[list[str] | None, typer.Option(help="Repeat it for several; all without it.")] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="fp32, bf16 and others, as `reports/bench` names them; five on a GPU, fp32 on a CPU."),
    ] = None,
    scale: Annotated[str, typer.Option(help="A name under `scales` in params.yaml: models and schedules.")] = "vox",
    size: Annotated[int, typer.Option(min=16, max=16_384, help="Side of an image in pixels.")] = 256,
    batch: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Pairs a step, if not the scale's.")] = None,
    steps: Annotated[int, typer.Option(min=1, max=1_000_000, help="Steps, and batches of frames, to time.")] = 30,
    minutes: Annotated[int, typer.Option(min=3, max=10_000, help="When to end; no row is begun in the last 2.")] = 10,
    out: Annotated[Path, typer.Option(help="Reports go into a folder named as the device.")] = Path("reports/bench"),
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Time reconstruction and training of every method on this machine: fp32 and bf16, channels-last, compiled, as CUDA
    graphs; and reconstruction in the released programs' plain loop.

    On an H200 all rows are estimated to take 13 minutes at 256 x 256, compiling included. A run ends within --minutes,
    and the same command goes on with the rows that are missing, also after one that was cut off.
    """
    from tpsm.config.params import read_params
    from tpsm.methods import METHODS
    from tpsm.profiling.benchmark import Settings, bench

    settings = Settings(tuple(method or METHODS), tuple(variant or ()), scale, size, batch, steps)
    print(bench(read_params(params), settings, out, minutes) / "README.md")


def main() -> None:
    """Runs the command line, and exits with its status."""
    follows = os.environ.get("RANK", "0") != "0"  # of several processes the first alone tells what it does
    logging.basicConfig(level=logging.WARNING if follows else logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    sys.exit(exit_status(app, "tpsm", None, prefix="tpsm: "))
