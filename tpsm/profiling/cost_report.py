"""Words what `tpsm cost` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from tabulate import tabulate

from tpsm.config.params import data_section, resolve_run
from tpsm.config.sections import AvdSection, Params, RunConfig
from tpsm.core.device import device
from tpsm.core.errors import UserError
from tpsm.core.layout import CLIPS
from tpsm.profiling.cost import (
    Items,
    Memory,
    Work,
    count_avd,
    count_work,
    in_all,
    predict_memory,
    timed_run,
    training_items,
)
from tpsm.profiling.timing import Timing, run_in_subprocess, run_timed_steps
from tpsm.training.config import Precision

GIGA, TERA = 1e9, 1e12


def pages(
    params: Params,
    dataset: str,
    run: str,
    tflops: float = 100.0,
    items: int | None = None,
    measure: int = 0,
    batch: int | None = None,
) -> Iterator[str]:
    """Yields the page in parts, each as soon as it is known.

    Raises:
        UserError: the run does not resolve or fit its size, how much data it has is not known, or the steps to
            `measure` failed, as for want of memory.
    """
    # What the run is.
    config, avd = resolve_run(params, dataset, run)
    data = data_section(params, dataset)
    section = params.scales[data.scale].get(config.method)
    known = training_items(dataset, data.raw.identity_sampling, items, CLIPS)
    yield f"{run} on {dataset}: {config.size} x {config.size}, batches of {config.train.batch}\n"

    # Operations, memory and time, as they are counted.
    work = count_work(config)
    yield work_page(work)
    memory: dict[Precision, Memory] = {"fp32": predict_memory(config, "fp32")}
    if torch.backends.cuda.is_built():  # A PyTorch that knows no GPU does not know their bf16.
        memory["bf16"] = predict_memory(config, "bf16")
    yield memory_page(memory, config.train.batch)
    step = in_all(work).step.computed
    yield schedule_page(config, avd if section and section.avd else None, known, step, tflops)

    # The same, measured.
    if measure:
        asked = timed_run(config, measure, batch)
        try:
            timing = run_in_subprocess(run_timed_steps, asked)
        except RuntimeError as error:
            raise UserError(f"The steps to measure failed ({error}); take fewer pairs with --batch.") from error
        pairs = asked.train.batch
        turn = -(-pairs // asked.train.accumulate)
        predicted = memory.get(asked.train.precision, memory["fp32"]).total(turn)
        schedule = timing.step / pairs * known.steps(config.train) * config.train.batch
        yield measured_page(timing, asked.train.precision, measure, pairs, step * pairs, predicted, schedule)


def work_page(work: dict[str, Work]) -> str:
    """Returns a table of the operations, by part."""
    everything = in_all(work)
    places = 2 if everything.step.computed > 10 * GIGA else 4
    rows = [["", "parameters", "source", "frame", "forward", "backward", "step", ""]]
    for name, part in work.items():
        cells = _work_cells(part, "computed", places)
        if any(float(cell.split()[0].replace(",", "")) for cell in cells if cell):
            rows.append([name, *cells, f"{part.step.computed / everything.step.computed:.0%}"])
    rows.append(["in all", *_work_cells(everything, "computed", places), ""])
    rows.append(["as published", "", *_work_cells(everything, "published", places)[1:], ""])
    return (
        "Operations, in GFLOP (2 for a multiply-add of a convolution or matrix product): once for a source image,\n"
        "for each frame, and in training for a pair, forward and backward. The perceptual network is in 'losses'.\n"
        "'As published': before doubled pixels and a 3 x 3 convolution became one transposed convolution here.\n\n"
        + table(rows)
    )


def _work_cells(work: Work, which: str, places: int) -> list[str]:
    columns = (work.source, work.frame, work.forward, work.backward, work.step)
    parameters = f"{work.parameters / 1e6:.2f} M" if work.parameters else ""
    return [parameters, *(f"{getattr(flops, which) / GIGA:,.{places}f}" for flops in columns)]


def memory_page(memory: dict[Precision, Memory], batch: int) -> str:
    """Returns a table of the memory by pairs, for each precision; only activations differ."""
    rows = [["pairs"]]
    for precision in memory:
        rows[0] += ["activations" if precision == "fp32" else f"in {precision}", "in all"]
    for pairs in batches(batch):
        numbers = ((needed.activations(pairs), needed.total(pairs)) for needed in memory.values())
        rows.append([str(pairs), *map(gigabytes, chain.from_iterable(numbers))])
    single = memory["fp32"]
    return (
        f"Memory of a training step: weights {gigabytes(single.weights)}, gradients {gigabytes(single.gradients)}, "
        f"Adam {gigabytes(single.adam)}, and the activations that are\n"
        "kept for the backward pass, by the pairs that a device takes at once. What single operations work in comes\n"
        "on top. bf16 by a GPU's rules, which leave weights, gradients and Adam in fp32.\n\n" + table(rows)
    )


def batches(last: int) -> list[int]:
    """Returns 1, 2, 4, ... and `last`."""
    return [*(2**i for i in range(last.bit_length()) if 2**i < last), last]


def schedule_page(config: RunConfig, avd: AvdSection | None, items: Items, flops: float, tflops: float) -> str:
    """Returns a table of the whole schedule; `flops` are those of a pair, `tflops` what training reaches."""
    rows = [["", "epochs", "steps", "batch", "PFLOP", "time"]]
    trained = [("training", config.train, flops)]
    if avd is not None:
        trained.append(("AVD", avd.train, count_avd(config, avd)))
    for name, train, each in trained:
        steps = items.steps(train)
        work = steps * train.batch * each
        cells = [f"{train.epochs}", f"{steps:,}", f"{train.batch}", f"{work / 1e15:,.{0 if work > 1e17 else 3}f}"]
        rows.append([name, *cells, duration(work / (tflops * TERA))])
    return (
        f"The whole schedule at {tflops:g} TFLOP/s (what is reached, not what a data sheet promises); an epoch passes "
        f"over\n{items.count:,} {items.source}, {config.train.repeats} times.\n\n" + table(rows)
    )


def measured_page(
    timing: Timing, precision: Precision, steps: int, pairs: int, flops: float, predicted: int, schedule: float
) -> str:
    """Returns a table of what was measured; `flops` of a step, `predicted` in bytes, `schedule` in seconds."""
    where = torch.cuda.get_device_name() if device().type == "cuda" else f"CPU, threads: {torch.get_num_threads()}"
    rows = [["", "measured", "predicted"]]
    rows.append(["seconds per step", f"{timing.step:.3g}", ""])
    rows.append(["pairs per second", f"{pairs / timing.step:.3g}", ""])
    rows.append(["GFLOP/s", f"{flops / timing.step / GIGA:,.0f}", ""])
    rows.append(["training, all of it", duration(schedule), ""])
    rows.append(["memory", gigabytes(timing.peak), gigabytes(predicted)])
    return f"Measured here ({where}, {precision}): steps of {pairs} pairs; {steps} after a first one.\n\n" + table(rows)


def gigabytes(count: int) -> str:
    """Returns a number of bytes in words."""
    return f"{count / GIGA:,.2f} GB" if count >= GIGA else f"{count / 1e6:,.0f} MB"


def duration(seconds: float) -> str:
    """Returns a time in words, in a unit of which there are at least 2."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.3g} s"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of `rows`, the first of which is the heading; all columns but the first end at the right."""
    align = ("left", *["right"] * (len(rows[0]) - 1))
    return tabulate(rows, headers="firstrow", tablefmt="simple", disable_numparse=True, colalign=align) + "\n"
