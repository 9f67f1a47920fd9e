"""The training benchmark, small: what it writes, and that one variant's failure costs no other its row."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from small_methods import CONFIGS

from tpsm.cli.main import main
from tpsm.config.params import read_params
from tpsm.core.errors import UserError
from tpsm.profiling import benchmark as module
from tpsm.profiling.benchmark import bench
from tpsm.profiling.benchmark_report import VARIANTS, Settings
from tpsm.profiling.peak import Ceilings, measure_ceilings
from tpsm.profiling.timing import Trial, _in_one_line, apart, take
from tpsm.training.config import TrainConfig

ROOT = Path(__file__).parents[2]
CEILINGS = Ceilings(fp32=2e10, tf32=None, bf16=4e10, copy=1e10)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small lose more to the threads' meeting than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def exhaust(_: Any) -> None:
    raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB.\nGPU 0 has none.")


def test_a_process_that_fails_says_in_a_line_why() -> None:
    with pytest.raises(RuntimeError, match=r"^OutOfMemoryError: Tried to allocate 20.00 GiB\.$"):
        _in_one_line(exhaust, None)
    with pytest.raises(RuntimeError, match="killed, as happens where memory runs out"):
        apart(os._exit, 9)


def test_ceilings_are_measured_and_leave_the_precision_as_it_was() -> None:
    before = torch.get_float32_matmul_precision()
    best = measure_ceilings(64)
    assert min(best.fp32, best.bf16, best.copy) > 0
    assert best.convolutions("bf16") == ("bf16", best.bf16)
    assert (best.tf32 is None) == (not torch.cuda.is_available())
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_trial_times_steps_of_noise(precision: Any) -> None:
    train = TrainConfig(batch=4, accumulate=2, epochs=1, precision=precision)
    timing = take(Trial("fomm", CONFIGS["fomm"], 32, train, steps=3, warm_up=2, traffic=True, operators=4))
    assert len(timing.blocks) == 3 and min(timing.blocks) > 0
    assert timing.step == sorted(timing.blocks)[1]
    assert 0 <= timing.waiting < timing.step
    assert timing.traffic > 7 * 4 * 20_000  # Adam alone, on over 20,000 weights
    assert len(timing.operators) == 4
    assert timing.operators[0].seconds >= timing.operators[3].seconds > 0
    assert any("convolution" in operator.name for operator in timing.operators)


def run(monkeypatch: pytest.MonkeyPatch, out: Path, settings: Settings, out_of_memory: str = "") -> Path:
    """The benchmark in this process; variants of the precision `out_of_memory` fail."""

    def here(function: Callable[[Any], Any], argument: Any) -> Any:
        if function is measure_ceilings:
            return CEILINGS
        if argument.train.precision == out_of_memory:
            raise RuntimeError("OutOfMemoryError: Tried to allocate 20.00 GiB.")
        return function(argument)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(module, "apart", here)
    return bench(read_params(Path("params.yaml")), settings, out)


@pytest.mark.slow  # half a minute
def test_the_report_has_a_row_for_every_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(("fomm",), ("fp32", "bf16"), "small", 64, batch=2, steps=2, operators=3)
    folder = run(monkeypatch, tmp_path, settings, out_of_memory="bf16")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "bench.json"]
    report = json.loads((folder / "bench.json").read_text())
    assert report["ceilings"]["copy"] == 1e10 and report["settings"]["batch"] == 2
    assert report["versions"]["torch"] == torch.__version__
    rows = {row["variant"]: row for row in report["rows"]}
    assert list(rows) == ["fp32", "bf16", "bf16-channels-last", "bf16-compiled"]
    assert rows["bf16"]["missing"] == "failed: OutOfMemoryError: Tried to allocate 20.00 GiB."
    assert rows["bf16-compiled"]["missing"] == "skipped: not asked for (--variant bf16-compiled)"
    timing = rows["fp32"]["timing"]
    assert rows["fp32"]["missing"] is None and len(timing["blocks"]) == 2
    page = (folder / "README.md").read_text()
    cells = next(line for line in page.splitlines() if line.startswith("| fp32 |")).split("|")
    step = sum(timing["blocks"]) / 2
    assert float(cells[2]) == pytest.approx(1 / step, rel=0.01)
    assert float(cells[3]) == pytest.approx(2 / step, rel=0.01)
    assert cells[4].strip() == "1.00"
    assert float(cells[6]) == pytest.approx(rows["fp32"]["flops"] / step / 1e9, rel=0.01)
    share = rows["fp32"]["flops"] / step / 2e10
    assert float(cells[7].split("%")[0]) == pytest.approx(100 * share, abs=0.06)
    assert "`bf16`: failed: OutOfMemoryError: Tried to allocate 20.00 GiB." in page
    assert "| fp32: operators | ms a step | of the step | calls |" in page


def test_without_a_gpu_only_fp32_is_measured_unasked() -> None:
    skipped = [module._skipped(variant, ()) for variant in VARIANTS]
    if torch.cuda.is_available():
        assert skipped == [None] * 4
    else:
        assert skipped[0] is None and all(reason and reason.startswith("skipped:") for reason in skipped[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "tsp"], "There is no method 'tsp'; choose among tps, fomm, mraa."),
        (["--variant", "fp8"], "There is no variant 'fp8'; choose among fp32,"),
        (["--scale", "huge"], "There is no scale 'huge'; choose among"),
    ],
)
def test_what_is_unknown_is_named(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["tpsm", "bench-train", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_model_that_does_not_fit_the_size_is_named_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="A picture of 48 x 48 does not fit"):
        run(monkeypatch, tmp_path, Settings(("tps",), (), "small", 48, steps=1))
    assert not list(tmp_path.iterdir())
