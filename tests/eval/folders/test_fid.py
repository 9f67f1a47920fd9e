"""Distances between sets of frames: closed forms, the definitions spelt out, and the command on small folders."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
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

from eval import weights
from eval.__main__ import main
from eval.folders import fid
from eval.stats.set_distances import frechet, kernel_distance
from eval.weights import Located
from tpsm.data.video import write_video


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


@settings(max_examples=30)
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


def discrepancy(x: dict[str, np.ndarray], y: dict[str, np.ndarray]) -> float:
    """The definition, term by term: mean kernels of frames of two different identities."""

    def mean(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
        pairs = [(a, b) for n, f in one.items() for m, g in other.items() if n != m for a in f for b in g]
        return float(np.mean([(a @ b / len(a) + 1) ** 3 for a, b in pairs]))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def test_kernel_distance_is_its_definition_and_leaves_out_identities() -> None:
    mine, theirs = split(sample(9, 4, 0), (2, 3, 4), "abc"), split(sample(11, 4, 1), (5, 1, 4, 1), "abde")
    found = kernel_distance(mine, theirs)
    assert found is not None
    assert found.mean == pytest.approx(discrepancy(mine, theirs)) and (found.clips, found.frames) == (4, 11)
    without = [
        discrepancy(*({n: f for n, f in side.items() if n != name} for side in (mine, theirs))) for name in "abcde"
    ]
    assert found.error == pytest.approx(np.sqrt(4 / 5 * ((np.array(without) - np.mean(without)) ** 2).sum()))
    assert found.high - found.mean == pytest.approx(4.302653 * found.error), (
        "Student's t of the smaller side, 2 degrees"
    )
    two = kernel_distance(split(sample(9, 4, 0), (4, 5), "ab"), theirs)
    assert two is not None and np.isnan(two.low), "two identities are too few for an interval"
    assert kernel_distance({"a": sample(9, 4, 0)}, theirs) is None


def clustered(rng: np.random.Generator, side: str, moved: float = 0) -> dict[str, np.ndarray]:
    """Fifteen identities of eight frames, which lie closer to each other than to those of others."""
    return {f"{side}{n}": rng.normal(rng.normal(moved, 1.5, 6), 1, (8, 6)) for n in range(15)}


def test_kernel_distance_takes_frames_of_one_identity_for_alike() -> None:
    same, apart = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x, y = clustered(rng, "x"), clustered(rng, "y")
        same.append(kernel_distance(x, y))
        apart.append(kernel_distance(x, clustered(rng, "y", moved=3)))
        copy = kernel_distance(x, x)
        assert copy is not None and copy.mean == pytest.approx(0, abs=1e-9)
    means = np.array([found.mean for found in same if found])
    assert abs(means.mean()) < 3 * means.std() / np.sqrt(len(means)), "unbiased"
    assert np.mean([found.low <= 0 <= found.high for found in same if found]) >= 0.9
    assert np.mean([found.low > 0 for found in apart if found]) >= 0.9, "and it sees what differs"


def test_stretching_samples_where_tensorflow_did() -> None:
    ramp = torch.arange(64.0).expand(1, 3, 64, 64)
    expected = (torch.arange(299) * 64 / 299).clamp(max=63)
    torch.testing.assert_close(fid.stretched(ramp)[0, 0, 7], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(fid.stretched(ramp.mT)[0, 2, :, 7], expected, atol=1e-4, rtol=0)
    wide = torch.rand(2, 3, 299, 299)
    torch.testing.assert_close(fid.stretched(wide), wide, atol=1e-4, rtol=0)


@pytest.mark.skipif(bool(weights.absent(["inception"])), reason="python -m eval weights fetch inception was not typed")
def test_the_network_and_the_distance_are_those_of_pytorch_fid() -> None:
    """Numbers by the package pytorch-fid 0.3.0: its network with these weights, its distance of what comes out."""
    sets = [
        np.concatenate([dots(f"{name}#0", seed).frames for seed, name in enumerate(names)]) for names in ("ab", "cd")
    ]
    one, other = (fid.embed(fid.load_network(), frames) for frames in sets)
    assert one.shape == (8, 2048)
    np.testing.assert_allclose(one[0, :4], [1.04935062, 0.1196508, 0.00954504, 0.07720849], rtol=1e-3)
    assert one.mean() == pytest.approx(0.24114906, rel=1e-4)
    assert frechet(one, other) == pytest.approx(28.095421, rel=1e-4)


class Means(nn.Module):
    """Three features: a picture's mean colour, in levels."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.Parameter(torch.tensor(128.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean([2, 3]) * self.unit + self.unit


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Real clips, the same 10 levels brighter under other names, and the same again; a network of three features."""
    file = tmp_path / "means.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Means()).save(file)
    monkeypatch.setattr(fid, "locate", lambda name: Located(file, name))
    fid.load_network.cache_clear()
    for seed, name in enumerate("abcd"):
        frames = dots(f"{name}#0", seed).frames.clip(0, 245)
        write_video(tmp_path / "real" / f"{name}#0.png", frames)
        write_video(tmp_path / "brighter" / f"other-{name}#0.png", frames + 10)
        write_video(tmp_path / "same" / f"{name}#0", frames)
    yield [str(tmp_path / name) for name in ("real", "brighter", "same")]
    fid.load_network.cache_clear()


def test_the_command_says_how_far_sets_lie_apart(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    real, brighter, same = folders
    assert main(["fid", "--real", real, "--generated", brighter, same]) == 0
    page = capsys.readouterr().out
    lines = {line.split("  ")[0]: line.split() for line in page.splitlines() if line}
    assert lines[brighter][1] == "300.00", "ten levels in each of three features"
    assert lines[same][1:3] == [".00", ".0000"]
    assert lines[brighter][-1] == lines[same][-1] == "16"
    assert lines["half of the real identities, against the rest"][-1] == "8"
    assert "The last line is what half as many frames" in page
    assert main(["fid", "--real", real, "--generated", brighter, "--every", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "8", "frames 0 and 3 of four"


def test_what_will_not_do_is_said(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*options: str) -> str:
        assert main(["fid", "--real", *options]) == 2
        return capsys.readouterr().err

    assert "is no folder of clips" in said(folders[0], "--generated", str(tmp_path / "nowhere"))
    assert "'--every'" in said(folders[0], "--generated", folders[1], "--every", "0")
    write_video(tmp_path / "one" / "a.png", dots("a#0", 0).frames[:1])
    alone = str(tmp_path / "one")
    assert f"{alone} has a single frame, which is no set" in said(folders[0], "--generated", alone)
    assert f"{alone} has a single frame, which is no set" in said(alone, "--generated", folders[0])
    write_video(tmp_path / "one" / "b.png", dots("b#0", 0).frames[:1])
    assert f"Each image in {alone} counts as a clip of one frame" in said(folders[0], "--generated", alone)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    fid.load_network.cache_clear()
    assert "type `python -m eval weights fetch inception`" in said(folders[0], "--generated", folders[1])
