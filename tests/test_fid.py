"""Distances between sets of frames: closed forms, the definitions spelt out, and the command on small folders."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.stats import ortho_group
from small_pipeline import dots
from torch import nn

from eval import fid
from eval.__main__ import main
from eval.set_distances import frechet, kernel_distance
from eval.weights import Located
from tpsm.data.readers import write_video


def sample(count: int, size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


def test_frechet_of_numbers_by_hand() -> None:
    x, y = np.array([[0.0], [2.0]]), np.array([[5.0], [5.0], [8.0]])
    # Means 1 and 6, variances 2 and 3.
    assert frechet(x, y) == pytest.approx(25 + (np.sqrt(2) - np.sqrt(3)) ** 2)


def test_frechet_is_its_definition() -> None:
    x, y = sample(40, 5, 0), sample(30, 5, 1)
    one, other = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(one + other - 2 * sqrtm(one @ other).real)
    assert frechet(x, y) == pytest.approx(expected, rel=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(2, 12), st.integers(0, 10**6))
def test_frechet_keeps_what_a_distance_has(n: int, m: int, size: int, seed: int) -> None:
    x, y = sample(n, size, seed), sample(m, size, seed + 1)
    found = frechet(x, y)
    turn = ortho_group.rvs(size, random_state=seed)
    assert found == pytest.approx(frechet(y, x), rel=1e-6, abs=1e-6)
    assert found == pytest.approx(frechet(x @ turn + 3, y @ turn + 3), rel=1e-6, abs=1e-6)
    assert frechet(x, x) == pytest.approx(0, abs=1e-6 * (x**2).sum())
    assert frechet(x, x + 2) == pytest.approx(4 * size, rel=1e-6, abs=1e-6), "moved, and not otherwise changed"


def split(x: np.ndarray, lengths: tuple[int, ...], names: str) -> dict[str, np.ndarray]:
    return dict(zip(names, np.split(x, np.cumsum(lengths)[:-1]), strict=True))


def discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """The definition, term by term."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    def alone(z: np.ndarray) -> float:
        return sum(k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j) / (len(z) * (len(z) - 1))

    return alone(x) + alone(y) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_kernel_distance_is_its_definition_and_leaves_out_clips() -> None:
    x, y = sample(9, 4, 0), sample(10, 4, 1)
    mine, theirs = split(x, (2, 3, 4), "abc"), split(y, (5, 1, 4), "abd")
    found = kernel_distance(mine, theirs)
    assert found.mean == pytest.approx(discrepancy(x, y)) and (found.clips, found.frames) == (3, 10)
    without = [
        discrepancy(*(np.concatenate([f for n, f in side.items() if n != name]) for side in (mine, theirs)))
        for name in "abcd"
    ]
    assert found.error == pytest.approx(np.sqrt(3 / 4 * ((np.array(without) - np.mean(without)) ** 2).sum()))
    assert found.high - found.mean == pytest.approx(3.182446 * found.error), "Student's t with three degrees of freedom"
    assert np.isnan(kernel_distance(split(x, (4, 5), "ab"), theirs).low), "two clips are too few"


def test_kernel_distance_of_one_distribution_is_zero_within_its_interval() -> None:
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sides = [{f"{side}{c}": rng.normal(rng.normal(), 1, (5, 3)) for c in range(12)} for side in "xy"]
        found = kernel_distance(*sides)
        covered.append(found.low <= 0 <= found.high)
    assert np.mean(covered) >= 0.85


def test_stretching_samples_where_tensorflow_did() -> None:
    ramp = torch.arange(64.0).expand(1, 3, 64, 64)
    expected = (torch.arange(299) * 64 / 299).clamp(max=63)
    torch.testing.assert_close(fid.stretched(ramp)[0, 0, 7], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(fid.stretched(ramp.mT)[0, 2, :, 7], expected, atol=1e-4, rtol=0)
    wide = torch.rand(2, 3, 299, 299)
    torch.testing.assert_close(fid.stretched(wide), wide, atol=1e-4, rtol=0)


class Means(nn.Module):
    """Three features: a picture's mean colour, in levels."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Parameter(torch.tensor(128.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean([2, 3]) * self.unit + self.unit


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Real clips, the same 10 levels brighter under other names, and the same again; a network of three features."""
    file = tmp_path / "means.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Means()).save(file)
    monkeypatch.setattr(fid, "locate", lambda name: Located(file, name))
    fid.load_network.cache_clear()
    for seed in range(4):
        frames = dots(f"a#{seed}", seed).frames.clip(0, 245)
        write_video(tmp_path / "real" / f"a#{seed}.png", frames)
        write_video(tmp_path / "brighter" / f"b#{seed}.png", frames + 10)
        write_video(tmp_path / "same" / f"a#{seed}", frames)
    return [str(tmp_path / name) for name in ("real", "brighter", "same")]


def test_the_command_says_how_far_sets_lie_apart(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    real, brighter, same = folders
    assert main(["fid", "--real", real, "--generated", brighter, same]) == 0
    lines = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    assert lines[brighter][1] == "300.00", "ten levels in each of three features"
    assert lines[same][1] == "0.00" or lines[same][1] == ".00"
    assert lines[brighter][-1] == lines[same][-1] == "16"
    assert float(lines[brighter][2]) > float(lines[same][2])
    assert lines["every other real clip against the rest"][-1] == "8"
    assert main(["fid", "--real", real, "--generated", brighter, "--every", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "8", "frames 0 and 3 of four"


def test_what_will_not_do_is_said(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*options: str) -> str:
        assert main(["fid", "--real", *options]) == 2
        return capsys.readouterr().err

    assert "is no folder of clips" in said(folders[0], "--generated", str(tmp_path / "nowhere"))
    assert "--every 0: must be 1 or more." in said(folders[0], "--generated", folders[1], "--every", "0")
    write_video(tmp_path / "one" / "a.png", dots("a#0", 0).frames[:1])
    assert "FID needs two frames and more on each side, and here are 16 and 1." in said(
        folders[0], "--generated", str(tmp_path / "one")
    )
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    fid.load_network.cache_clear()
    assert "type `python -m eval weights fetch inception`" in said(folders[0], "--generated", folders[1])
