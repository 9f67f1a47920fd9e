"""The benchmark of a device, small: what it writes, and that one variant's failure costs no other its row."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_methods import CONFIGS, make, pictures

from tpsm.cli.main import main
from tpsm.config.params import read_params
from tpsm.core.errors import UserError
from tpsm.core.reading import read_json
from tpsm.core.schema import from_mapping
from tpsm.inference.config import InferenceConfig
from tpsm.profiling import benchmark as module
from tpsm.profiling.benchmark import PLAIN, UNASKED, VARIANTS, Report, Settings, bench, page
from tpsm.profiling.released_loop import ReleasedModel
from tpsm.profiling.timed_frames import TimedFrames, plain_loop, run_timed_frames
from tpsm.profiling.timing import TimedRun, _in_one_line, run_in_subprocess, run_timed_steps
from tpsm.training.config import TrainConfig

ROOT = Path(__file__).parents[2]


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
        run_in_subprocess(os._exit, 9)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_trial_times_steps_of_noise(precision: Any) -> None:
    train = TrainConfig(batch=4, accumulate=2, epochs=1, precision=precision)
    timing = run_timed_steps(TimedRun("fomm", CONFIGS["fomm"], 32, train, steps=3, warm_up=2))
    assert timing.first > 0 and timing.step > 0 and timing.peak >= 0


@pytest.mark.parametrize("inference", [None, InferenceConfig(), InferenceConfig("bf16", channels_last=True)])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_trial_times_frames_of_noise(name: str, inference: InferenceConfig | None) -> None:
    timed = TimedFrames(name, CONFIGS[name], 32, inference, steps=2, warm_up=2)
    timing = run_timed_frames(timed)
    assert timing.first > 0 and timing.step > 0 and timing.peak >= 0
    assert timed.batch == (1 if inference is None else 16)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_plain_loop_draws_what_the_method_does_and_encodes_every_time(name: str) -> None:
    method, frames = make(name).eval(), pictures(3).driving
    plain = ReleasedModel(CONFIGS["tps"]).eval() if name == "tps" else method
    plain.load_state_dict(method.state_dict())
    encoder = plain.inpainting_network.first if name == "tps" else plain.generator.first
    passes: list[int] = []
    encoder.register_forward_hook(lambda *_: passes.append(1))
    drawn = torch.cat(list(plain_loop(plain, frames)))
    assert len(passes) == len(frames)
    with torch.no_grad():
        code = method.encode(frames[:1]).expand(3)
        expected = method.render(code, method.keypoints(frames), method.background(code.image, frames)).image
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-5)


def test_every_variant_is_a_schedule_and_a_way_to_compute_frames() -> None:
    for changes in VARIANTS.values():
        assert (
            vars(InferenceConfig(**changes))
            == changes
            == {key: vars(replace(TrainConfig(), **changes))[key] for key in changes}
        )
    assert set(UNASKED["cuda"]) < set(VARIANTS)


def run(
    monkeypatch: pytest.MonkeyPatch, out: Path, settings: Settings, out_of_memory: str = "", minutes: int = 10
) -> Path:
    """The benchmark in this process; training of the precision `out_of_memory` fails."""

    def here(function: Callable[[Any], Any], argument: Any) -> Any:
        if isinstance(argument, TimedRun) and argument.train.precision == out_of_memory:
            raise RuntimeError("OutOfMemoryError: Tried to allocate 20.00 GiB.")
        return function(argument)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(module, "run_in_subprocess", here)
    return bench(read_params(Path("params.yaml")), settings, out, minutes)


def test_the_report_has_a_row_for_every_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(("fomm",), ("fp32", "bf16"), "small", 64, batch=2, steps=2)
    folder = run(monkeypatch, tmp_path, settings, out_of_memory="bf16")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "bench.json"]
    report = json.loads((folder / "bench.json").read_text())
    assert report["settings"]["batch"] == 2 and report["versions"]["torch"] == torch.__version__

    rows = {row["variant"]: row for row in report["rows"]}
    assert list(rows) == ["fp32", "bf16"]
    assert rows["bf16"]["failed"] == "OutOfMemoryError: Tried to allocate 20.00 GiB."
    assert rows["fp32"]["failed"] is None

    page = (folder / "README.md").read_text()
    training = page.partition("## Training")[2].splitlines()
    line = next(line for line in training if line.startswith("| fomm ") and "fp32" in line)
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    step = rows["fp32"]["timing"]["step"]
    assert cells[:3] == ["fomm", "fp32", "2"] and cells[5] == "1.00"
    assert float(cells[3]) == pytest.approx(1 / step, rel=0.01)
    assert float(cells[4]) == pytest.approx(2 / step, rel=0.01)
    assert float(cells[7].replace(",", "")) == pytest.approx(rows["fp32"]["flops"] / step / 1e9, rel=0.01)
    assert "`bf16` failed: OutOfMemoryError: Tried to allocate 20.00 GiB." in page

    # Reconstruction, beside the plain loop.
    drawn = {row["variant"]: row for row in report["reconstruction"]}
    assert {name: row["batch"] for name, row in drawn.items()} == {PLAIN: 1, "fp32": 16, "bf16": 16}
    assert drawn["fp32"]["flops"] == 16 * drawn[PLAIN]["flops"]
    lines = page.partition("## Reconstruction")[2].partition("## Training")[0].splitlines()
    cells = [cell.strip() for cell in next(line for line in lines if "| fp32 " in line).split("|")[1:-1]]
    rates = {name: row["batch"] / row["timing"]["step"] for name, row in drawn.items()}
    assert float(cells[4]) == pytest.approx(rates["fp32"], rel=0.01)
    assert float(cells[5]) == pytest.approx(rates["fp32"] / rates[PLAIN], abs=0.01)


def test_rows_of_the_same_commit_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(("fomm",), ("fp32",), "small", 64, batch=2, steps=1)
    monkeypatch.setattr(module, "code", lambda: {"commit": "c0ffee", "changed": False})
    file = run(monkeypatch, tmp_path, settings) / "bench.json"
    first = json.loads(file.read_text())["rows"]
    run(monkeypatch, tmp_path, replace(settings, variants=("fp32", "bf16")))
    assert json.loads(file.read_text())["rows"][0] != first[0]  # other settings: measured again
    first = json.loads(file.read_text())["rows"]
    run(monkeypatch, tmp_path, replace(settings, variants=("fp32", "bf16")))
    assert json.loads(file.read_text())["rows"] == first
    monkeypatch.setattr(module, "code", lambda: {"commit": "c0ffee", "changed": True})
    run(monkeypatch, tmp_path, replace(settings, variants=("fp32", "bf16")))
    assert json.loads(file.read_text())["rows"] != first


def test_a_report_of_older_code_is_replaced_and_a_damaged_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(("fomm",), ("fp32",), "small", 64, batch=2, steps=1)
    monkeypatch.setattr(module, "code", lambda: {"commit": "c0ffee", "changed": False})
    file = run(monkeypatch, tmp_path, settings) / "bench.json"
    report = json.loads(file.read_text())

    # Another commit, whose report had a key that this one does not know, and lacked another.
    older = {key: value for key, value in report.items() if key != "settings"} | {"batches": [1]}
    file.write_text(json.dumps(older | {"code": {"commit": "older", "changed": False}}))
    with caplog.at_level("INFO"):
        run(monkeypatch, tmp_path, settings)
    assert "every row is measured anew" in caplog.text
    assert json.loads(file.read_text()).keys() == report.keys()

    for text, says in ((json.dumps(older), "batches"), (file.read_text()[:-9], "not valid JSON"), ("[1]", "a section")):
        file.write_text(text)
        with pytest.raises(UserError, match=f"bench.json.*{says}"):
            run(monkeypatch, tmp_path, settings)


def test_without_a_gpu_only_fp32_is_measured_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(monkeypatch, tmp_path, Settings(("fomm",), (), "small", 64, batch=2, steps=1))
    rows = json.loads((folder / "bench.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == list(UNASKED["cuda" if torch.cuda.is_available() else "cpu"])


def test_no_row_is_begun_near_the_end_and_the_page_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(("fomm",), ("fp32",), "small", 64, batch=2, steps=1)
    monkeypatch.setattr(module, "code", lambda: {"commit": "c0ffee", "changed": False})
    clock = iter(range(0, 10_000, 50))  # 50 s a look: with 3 minutes one row is begun, at 50 s
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    folder = run(monkeypatch, tmp_path, settings, minutes=3)
    written = json.loads((folder / "bench.json").read_text())
    assert [row["variant"] for row in written["reconstruction"]] == [PLAIN] and not written["rows"]
    text = (folder / "README.md").read_text()
    assert "Not measured: `fp32`" in text.partition("## Reconstruction")[2].partition("## Training")[0]
    run(monkeypatch, tmp_path, settings)
    written = json.loads((folder / "bench.json").read_text())
    assert [row["variant"] for row in written["reconstruction"]] == [PLAIN, "fp32"] and len(written["rows"]) == 1
    if not torch.cuda.is_available():
        assert "Not measured" not in (folder / "README.md").read_text()


@pytest.mark.parametrize("file", sorted(ROOT.glob("reports/bench/*/bench.json")), ids=lambda file: file.parent.name)
def test_a_published_page_is_that_of_its_numbers(file: Path) -> None:
    report = from_mapping(Report, read_json(file, "report"), str(file))
    assert file.with_name("README.md").read_text() == page(report)


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
    monkeypatch.setattr(sys, "argv", ["tpsm", "bench-gpu", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_model_that_does_not_fit_the_size_is_named_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="An image of 48 x 48 does not fit"):
        run(monkeypatch, tmp_path, Settings(("tps",), (), "small", 48, steps=1))
    assert not list(tmp_path.iterdir())
