"""The training loop on a task small enough to follow by hand."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from killing import KILLER, Killed, files
from torch import Tensor, nn

from tpsm.checkpoints.checkpoint import load_checkpoint
from tpsm.core.errors import UserError
from tpsm.core.files import atomic, write_text
from tpsm.core.rng import BatchRng, BatchSlice
from tpsm.core.types import FramePair
from tpsm.training import loop
from tpsm.training.config import TrainConfig
from tpsm.training.distributed import launch
from tpsm.training.loop import RunInfo, fit
from tpsm.training.optimizer import Optimiser, clip_gradients

RUN_INFO = RunInfo("toy", "toy-run", "toys", 4, {})
CONFIG = TrainConfig(epochs=3, repeats=1, batch=4, learning_rate=0.1, milestones=(2,), checkpoint_every=2)


class Toy(nn.Module):
    """Learns the driving frame's mean; noise from `rng` and batch statistics make any slip in resuming visible."""

    clip_grad_modules = ("head",)
    sync_batch_norm = False

    def __init__(self, bad_step: int = -1, kill_step: int = -1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Conv2d(3, 3, 1)
        self.bad_step, self.kill_step, self.calls = bad_step, kill_step, 0

    def forward(self, source: Tensor, driving: Tensor, epoch: int, draws: BatchRng) -> dict[str, Tensor]:
        return self.losses(FramePair(source, driving), epoch, draws)

    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]:
        noise = draws.uniform(*pair.source.shape)
        error = (self.head(self.norm(pair.source + noise)) - pair.driving).abs().mean()
        if self.calls == self.kill_step:
            os.kill(os.getpid(), signal.SIGTERM)
        bad = error * float("nan") if self.calls == self.bad_step else error * 0.5
        self.calls += 1
        return {"fit": error, "half": bad}


class Pairs:
    def __len__(self) -> int:
        return 5

    def epoch(self, epoch: int, first: int, parts: Sequence[BatchSlice]) -> Iterator[FramePair]:
        for index in range(first, len(self)):
            rng = torch.Generator().manual_seed(100 * epoch + index)
            source, driving = torch.rand(2, 4, 3, 4, 4, generator=rng)
            for part in parts:
                yield FramePair(source[part.rows], driving[part.rows])


def run(task: nn.Module, folder: Path, config: TrainConfig = CONFIG, data: str = "data") -> Path:
    out = folder / "out"
    fit(task, Pairs(), config, RUN_INFO, out, data_hash=data, work=folder / "work")
    return out


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = run(Toy(), tmp_path / "whole")
    with pytest.raises(UserError, match="Stopped after step 8 of toy-run"):
        run(Toy(kill_step=7), tmp_path / "cut")
    cut = run(Toy(), tmp_path / "cut")
    first, second = load_checkpoint(whole / "last.pt"), load_checkpoint(cut / "last.pt")
    assert (first.step, first.epoch) == (second.step, second.epoch) == (15, 3)
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name]), name
    assert (whole / "metrics.csv").read_bytes() == (cut / "metrics.csv").read_bytes()


def test_a_hard_kill_costs_no_more_than_the_last_checkpoint(tmp_path: Path) -> None:
    whole = run(Toy(), tmp_path / "whole")
    cut = Toy()
    cut.losses, honest = lambda *a: (_ for _ in ()).throw(KeyError) if cut.calls == 9 else honest(*a), cut.losses  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        run(cut, tmp_path / "cut")
    resumed = run(Toy(), tmp_path / "cut")
    weights = load_checkpoint(resumed / "last.pt").weights
    assert all(torch.equal(v, weights[k]) for k, v in load_checkpoint(whole / "last.pt").weights.items())
    assert (whole / "metrics.csv").read_bytes() == (resumed / "metrics.csv").read_bytes()


def test_gradients_that_accumulate_over_turns_are_the_whole_batchs(tmp_path: Path) -> None:
    curves = []
    for turns in (1, 2, 3):  # 3: turns of unequal size
        task = Toy()
        task.norm = nn.Identity()  # Batch statistics are each turn's own.
        # Decay and clipping depend on the gradient's scale, as Adam alone does not.
        config = replace(CONFIG, accumulate=turns, weight_decay=0.5, clip_norm=0.05)
        out = run(task, tmp_path / str(turns), config)
        curves.append(pd.read_csv(out / "metrics.csv").total)
    assert (curves[1] - curves[0]).abs().max() < 1e-5 and (curves[2] - curves[0]).abs().max() < 1e-5


def test_decay_and_clipping_see_the_gradients_own_scale(tmp_path: Path) -> None:
    """The first step, by hand: Adam's first step is the rate times the sign of the clipped, decayed gradient."""
    task = Toy()
    task.norm = nn.Identity()
    task.head.requires_grad_(True)
    before = {name: value.detach().clone() for name, value in task.named_parameters()}
    config = TrainConfig(epochs=1, batch=4, learning_rate=1e-3, milestones=(), weight_decay=0.3, clip_norm=1e-3)
    pair = next(Pairs().epoch(0, 0, BatchSlice.split(4, 1)))
    losses = task.losses(pair, 0, BatchRng(0))
    gradients = torch.autograd.grad(losses["fit"] + losses["half"], list(task.parameters()))
    bound = 1e-3 / max(g.abs().max() for g in gradients)
    optimiser = Optimiser(task, config, launch("fp32"))
    optimiser.step(iter([pair]), BatchSlice.split(4, 1), 0, 0)
    for (name, value), gradient in zip(task.named_parameters(), gradients, strict=True):
        expected = gradient * min(1.0, float(bound)) + 0.3 * before[name]
        torch.testing.assert_close(value.grad, gradient * min(1.0, float(bound)), rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(before[name] - value, 1e-3 * expected.sign(), rtol=1e-3, atol=1e-6)


def test_what_does_not_decide_the_result_does_not_start_it_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match="Stopped after step 8"):
        run(Toy(kill_step=7), tmp_path)
    with pytest.raises(UserError, match="Stopped after step 13"):
        run(Toy(kill_step=4), tmp_path, replace(CONFIG, checkpoint_every=3, workers=0, preview_every=1, graph=True))
    assert "anew" not in caplog.text
    run(Toy(), tmp_path, replace(CONFIG, weight_decay=0.2))
    assert "Starting anew: parameters, data or code have changed since toys@toy-run-" in caplog.text


def test_nan_stops_the_run_and_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"The loss 'half' is nan at step 5 of toy-run.*state\.pt"):
        run(Toy(bad_step=5), tmp_path)
    (state,) = (tmp_path / "work").glob("*/state.pt")
    kept = load_checkpoint(state)
    assert kept.step == 4
    assert all(value.isfinite().all() for value in kept.weights.values())
    assert not (tmp_path / "out").exists()


def test_another_schedule_or_other_data_starts_afresh(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        run(Toy(bad_step=5), tmp_path)
    run(Toy(), tmp_path, data="other data")
    curve = pd.read_csv(tmp_path / "out" / "metrics.csv")
    assert list(curve.step) == list(range(15))
    assert list(curve.columns) == ["step", "epoch", "fit", "half", "total"]
    assert (curve.total - curve.fit - curve.half).abs().max() < 1e-5
    kept = sorted(path.parent.suffix for path in (tmp_path / "work").glob("*/state.pt"))
    assert kept == ["", ".finished"]  # of the broken run, and of the one that may be given more epochs


def test_the_rate_falls_tenfold_at_each_milestone() -> None:
    config = TrainConfig(learning_rate=1.0, milestones=(2, 4))
    assert [config.rate(epoch) for epoch in range(5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_adam_goes_on_as_this_device_computes_it() -> None:
    """A working checkpoint may be that of a GPU, whose graph read the rate from a tensor."""
    ends = []
    for elsewhere in (False, True):
        toy, batch = Toy(), BatchSlice(0, 4, 4)
        pairs = iter([FramePair(torch.zeros(4, 3, 4, 4), torch.ones(4, 3, 4, 4))] * 4)
        for steps in ((0, 1), (2, 3)):
            optimiser = Optimiser(toy, CONFIG, launch("fp32"))
            if steps[0]:
                optimiser.go_on(state)
            for step in steps:
                optimiser.step(pairs, [batch], 0, step)
            state = optimiser.adam.state_dict()
            if elsewhere:
                state["param_groups"][0].update(capturable=True, fused=None, lr=torch.tensor(0.5))
        ends.append(toy.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_step_shows_that_it_has_changed_weights() -> None:
    toy = Toy()
    optimiser = Optimiser(toy, CONFIG, launch("fp32"))
    before = {name: value._version for name, value in toy.named_parameters()}
    pairs = iter([FramePair(torch.zeros(4, 3, 4, 4), torch.ones(4, 3, 4, 4))])
    optimiser.step(pairs, [BatchSlice(0, 4, 4)], 0, 0)
    assert all(value._version > before[name] for name, value in toy.named_parameters())


def test_each_named_submodule_is_clipped_by_its_largest_entry() -> None:
    task = Toy()
    for parameter in task.parameters():
        parameter.grad = torch.full_like(parameter, 40.0)
    clip_gradients(task, 10.0)
    assert task.head.weight.grad is not None and task.norm.weight.grad is not None
    assert torch.allclose(task.head.weight.grad, torch.tensor(10.0))
    assert torch.equal(task.norm.weight.grad, torch.full((3,), 40.0))


@pytest.mark.parametrize("first", [1, 2, 3])
def test_more_epochs_go_on_as_if_there_had_been_no_end(first: int, tmp_path: Path) -> None:
    """Over a milestone too, and one that only the longer schedule has."""
    longer = replace(CONFIG, epochs=5, milestones=(2, 4))
    whole = run(Toy(), tmp_path / "whole", longer)
    shorter = replace(CONFIG, epochs=first, milestones=(2,) if first > 2 else ())
    assert load_checkpoint(run(Toy(), tmp_path / "parts", shorter) / "last.pt").epoch == first
    task = Toy()
    parts = run(task, tmp_path / "parts", longer)
    assert task.calls == 5 * (5 - first)
    assert files(parts) == files(whole)


def test_another_rate_in_epochs_that_are_past_starts_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(Toy(), tmp_path)
    task = Toy()
    run(task, tmp_path, replace(CONFIG, epochs=4, milestones=(1,)))
    assert task.calls == 20 and "the learning rate has changed" in caplog.text
    task = Toy()
    run(task, tmp_path, replace(CONFIG, epochs=2, milestones=(1,)))
    assert task.calls == 10 and "20 steps long already" in caplog.text
    assert len(list((tmp_path / "work").glob("*.finished"))) == 1


def test_two_processes_do_not_train_the_same_run(tmp_path: Path) -> None:
    """Whatever else differs between them. The other goes on though DVC, which began it, was killed; and once it is dead
    itself, it holds nothing."""
    lock = tmp_path / "work" / "toys@toy-run.lock"
    code = "import os, time; from pathlib import Path; from tpsm.core.files import locked\n"
    code += f"with locked(Path({str(lock)!r}), 'It'): print(os.getpid(), flush=True); time.sleep(600)"
    began_it = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    with subprocess.Popen([sys.executable, "-c", began_it, code], stdout=subprocess.PIPE, text=True) as dvc:
        assert dvc.stdout is not None
        orphan = int(dvc.stdout.readline())
        assert orphan != dvc.pid
        dvc.kill()
        dvc.wait()
        with pytest.raises(UserError, match=f"The training of toy-run on toys .* in process {orphan} .* end it"):
            run(Toy(), tmp_path, replace(CONFIG, learning_rate=0.2))
        os.kill(orphan, signal.SIGKILL)
        assert dvc.stdout.read() == ""  # the end of all that could write there
    run(Toy(), tmp_path)


def test_killed_before_any_file_operation_it_ends_as_an_unbroken_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started again, it leaves the same files, and no draft of any."""
    config = replace(CONFIG, epochs=1, checkpoint_every=3, preview_every=2)
    fabric = launch("fp32")
    monkeypatch.setattr(loop, "launch", lambda precision: fabric)  # most of the time goes there

    def train(folder: Path) -> None:
        task = Toy()

        def preview(path: Path) -> None:
            with atomic(path) as draft:
                draft.write_text(str(task.head.weight.sum().item()))

        def summarise(draft: Path, resumed: bool) -> None:
            write_text(draft / "summary.json", str(task.head.weight.sum().item()))

        out, work = folder / "models" / "out", folder / "work"
        fit(task, Pairs(), config, RUN_INFO, out, data_hash="", work=work, preview=preview, summarise=summarise)

    (tmp_path / "whole").mkdir()
    with KILLER.after(10**6, tmp_path / "whole"):
        train(tmp_path / "whole")
        operations = KILLER.count
    expected = files(tmp_path / "whole")
    assert {"models/out/last.pt", "models/out/metrics.csv", "models/out/summary.json"} < set(expected)
    assert len([name for name in expected if name.startswith("models/out/previews/")]) == 3
    assert operations > 40
    for count in range(operations):
        folder = tmp_path / str(count)
        folder.mkdir()
        with pytest.raises(Killed), KILLER.after(count, folder):
            train(folder)
        train(folder)
        found = files(folder)
        assert set(found) == set(expected), f"killed before operation {count}"
        changed = {name for name, data in found.items() if data != expected[name]}
        assert not {name for name in changed if name.startswith("models/")}, f"killed before operation {count}"
