"""Frames side by side: whole, in order, in step."""

from __future__ import annotations

from itertools import repeat

import numpy as np

from tpsm.show.panels import CAPTION, GAP, SMALLEST, side_by_side


def plain(value: int, size: int) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_columns_play_in_step_at_the_largest_size() -> None:
    """A source that repeats for ever ends with the others, and a small frame is enlarged to the largest one's size."""
    moving = [plain(10 * t, 64) for t in range(3)]
    sheets = list(side_by_side(["source", "driving", "TPSMM"], [repeat(plain(200, 32)), moving, moving], 64))
    side = SMALLEST
    assert len(sheets) == 3
    for t, sheet in enumerate(sheets):
        assert sheet.shape == (CAPTION + side, 3 * side + 2 * GAP, 3)
        panels = [sheet[CAPTION:, number * (side + GAP) :][:, :side] for number in range(3)]
        assert [set(np.unique(panel)) for panel in panels] == [{200}, {10 * t}, {10 * t}]
        assert (sheet[:, side : side + GAP] == 255).all()
    captions = sheets[0][:CAPTION]
    for number in range(3):  # each has its own, within its own width
        assert captions[:, number * (side + GAP) :][:, :side].min() < 100


def test_large_frames_stay_as_they_are_and_a_long_title_does_not_run_into_the_next() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    (sheet,) = side_by_side(["a very long title of a run " * 9, "b"], [[frame], [frame]], 256)
    np.testing.assert_array_equal(sheet[CAPTION:, :256], frame)
    assert (sheet[:CAPTION, 256 : 256 + GAP] == 255).all()
