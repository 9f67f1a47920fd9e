"""Pairs of methods, clips and sides come equally often, whatever the numbers are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.study.design import Placed, sheets

DESIGNS = st.tuples(st.integers(1, 6), st.integers(1, 9), st.data(), st.integers(0, 99))


def spread(values: list[int], kinds: int) -> int:
    counts = [Counter(values)[kind] for kind in range(kinds)]
    return max(counts) - min(counts)


@settings(max_examples=60)
@given(DESIGNS)
def test_every_sheet_is_balanced_and_all_of_them_are_exactly(drawn: tuple) -> None:
    pairs, clips, data, seed = drawn
    questions = data.draw(st.integers(1, pairs * clips))
    design = sheets(pairs, clips, questions, np.random.default_rng(seed))
    for sheet in design:
        assert len({(placed.pair, placed.clip) for placed in sheet}) == len(sheet) == questions
        assert spread([placed.pair for placed in sheet], pairs) <= 1
        assert spread([placed.clip for placed in sheet], clips) <= 2
        for pair in range(pairs):
            left = [placed.first_left for placed in sheet if placed.pair == pair]
            assert abs(2 * sum(left) - len(left)) <= 1
    everything = Counter(placed for sheet in design for placed in sheet)
    assert len(everything) == 2 * pairs * clips and len(set(everything.values())) == 1


def test_where_numbers_divide_a_sheet_is_balanced_exactly() -> None:
    for sheet in sheets(3, 12, 24, np.random.default_rng(0)):
        assert set(Counter(placed.pair for placed in sheet).values()) == {8}
        assert set(Counter(placed.clip for placed in sheet).values()) == {2}
        assert set(Counter((placed.pair, placed.first_left) for placed in sheet).values()) == {4}


def test_a_twin_changes_sides_alone() -> None:
    design = sheets(3, 4, 5, np.random.default_rng(0))
    assert design[1] == [Placed(p.pair, p.clip, not p.first_left) for p in design[0]]


@pytest.mark.parametrize("questions", [0, 13])
def test_more_questions_than_comparisons_are_refused(questions: int) -> None:
    with pytest.raises(ValueError, match="questions: must be between 1 and 12"):
        sheets(3, 4, questions, np.random.default_rng(0))
