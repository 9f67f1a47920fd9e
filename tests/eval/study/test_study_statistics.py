"""Rates, agreement and strengths against closed forms and published examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.stats.config import BootstrapConfig
from eval.study.agreement import Agreement, nominal, of_pair, together
from eval.study.bradley_terry import chance_over_others, has_maximum, have_maximum, log_strengths
from eval.study.ranking import ranking
from eval.study.tally import Tally
from eval.study.votes import Vote

CONFIG = BootstrapConfig(samples=2000, seed=3)


def vote(rater: str, clip: str, winner: str, loser: str) -> Vote:
    first, second = sorted((winner, loser))
    return Vote(rater, "continuity", f"{clip}:{first}:{second}", clip, winner, loser, winner_left=True)


def panel(raters: int, clips: int, a_wins: float, seed: int = 0) -> list[Vote]:
    rng = np.random.default_rng(seed)
    return [
        vote(f"r{r}", f"c{c}", *(("a", "b") if rng.random() < a_wins else ("b", "a")))
        for r in range(raters)
        for c in range(clips)
    ]


def test_a_rate_is_votes_over_votes_and_its_reverse_the_rest() -> None:
    tally = Tally.of([*panel(4, 3, 1.0), *panel(2, 3, 0.0)], ["a", "b", "c"])
    there, back = tally.rate("a", "b", CONFIG), tally.rate("b", "a", CONFIG)
    assert there is not None and back is not None
    assert (there.mean, there.frames, there.clips) == (12 / 18, 18, 3)
    assert back.mean == pytest.approx(1 - there.mean)
    assert (back.low, back.high) == pytest.approx((1 - there.high, 1 - there.low))
    assert tally.rate("a", "c", CONFIG) is None


def test_the_interval_of_independent_votes_is_that_of_a_proportion_or_somewhat_wider() -> None:
    tally = Tally.of(panel(30, 30, 0.7), ["a", "b"])
    rate = tally.rate("a", "b", CONFIG)
    assert rate is not None
    binomial = 2 * 1.96 * math.sqrt(rate.mean * (1 - rate.mean) / 900)
    # Votes of no rater or clip effect, drawn both ways: Owen's bootstrap has three times the variance.
    assert rate.high - rate.low == pytest.approx(math.sqrt(3) * binomial, rel=0.15)


def test_raters_who_are_of_one_mind_each_count_once() -> None:
    votes = [vote(f"r{r}", f"c{c}", *(("a", "b") if r < 7 else ("b", "a"))) for r in range(10) for c in range(20)]
    rate = Tally.of(votes, ["a", "b"]).rate("a", "b", CONFIG)
    assert rate is not None
    assert (rate.low, rate.high) == (0.4, 1.0)  # the binomial of 10 raters, not of 200 votes


def test_where_all_agree_the_bound_is_clopper_and_pearsons() -> None:
    tally = Tally.of(panel(10, 6, 1.0), ["a", "b"])
    won, lost = tally.rate("a", "b", CONFIG), tally.rate("b", "a", CONFIG)
    assert won is not None and lost is not None
    assert (won.low, won.high) == pytest.approx((0.6915, 1.0), abs=5e-5)  # as tabled for 10 of 10
    assert (lost.low, lost.high) == pytest.approx((0.0, 0.3085), abs=5e-5)


def test_one_rater_has_no_interval() -> None:
    rate = Tally.of(panel(1, 6, 0.5), ["a", "b"]).rate("a", "b", CONFIG)
    assert rate is not None and math.isnan(rate.low) and math.isnan(rate.high)


# Krippendorff (2011), sections A and C: two observers of binary data, and four observers with values missing.
BINARY = ("0100000010", "1110010000")
MISSING = ("123321412...", "12332241 25.3".replace(" ", ""), ".333234225 1.".replace(" ", ""), "12332441251.")


def by_unit(observers: tuple[str, ...]) -> list[list[str]]:
    return [[value for value in unit if value != "."] for unit in zip(*observers, strict=True)]


def test_alpha_of_krippendorffs_examples() -> None:
    assert nominal(by_unit(BINARY)).alpha == pytest.approx(0.095, abs=5e-4)
    found = nominal(by_unit(MISSING))
    assert found.alpha == pytest.approx(0.743, abs=5e-4)
    assert (found.values, found.items) == (40, 11)


def test_alpha_at_its_ends() -> None:
    assert nominal([["x", "x"], ["y", "y", "y"]]).alpha == 1
    assert nominal([["x", "y"], ["y", "x"]]).alpha == pytest.approx(-0.5)  # 1 - 1 / (2/3): worse than chance
    assert nominal([["x", "x"], ["x", "x"]]).alpha is None
    alone = nominal([["x"], ["y"], []])
    assert (alone.alpha, alone.raw, alone.items) == (None, None, 0)


@settings(max_examples=40)
@given(st.lists(st.lists(st.sampled_from("xy"), min_size=3, max_size=3), min_size=2, max_size=9))
def test_alpha_is_fleiss_kappa_but_for_the_finite_sample(items: list[list[str]]) -> None:
    found = nominal(items)
    if found.alpha is None:
        return
    share = sum(item.count("x") for item in items) / (3 * len(items))
    by_chance = share**2 + (1 - share) ** 2
    agreed = np.mean([sum(n * (n - 1) for n in (i.count("x"), i.count("y"))) / 6 for i in items])
    kappa = (agreed - by_chance) / (1 - by_chance)
    assert found.raw == pytest.approx(agreed)
    # Alpha's expectation draws two answers without putting the first back.
    assert found.alpha == pytest.approx(kappa + (1 - kappa) / (3 * len(items)))


def test_agreement_over_pairs_weighs_each_by_its_answers() -> None:
    one, other = Agreement(0.2, 0.5, 30, 10), Agreement(0.4, 0.4, 10, 5)
    both = together([one, other, Agreement(0.0, 0.0, 0, 0)])
    assert (both.observed, both.expected, both.values, both.items) == (
        pytest.approx(0.25),
        pytest.approx(0.475),
        40,
        15,
    )
    assert together([]).alpha is None
    assert of_pair(panel(3, 4, 0.5)).items == 4


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60))
def test_two_runs_differ_by_the_log_odds(won: int, lost: int) -> None:
    theta = log_strengths(np.array([[[0.0, won], [lost, 0.0]]]))[0]
    assert theta[0] - theta[1] == pytest.approx(math.log(won / lost), abs=1e-6)
    assert theta.sum() == pytest.approx(0)


def test_strengths_behind_expected_counts_are_found() -> None:
    theta = np.array([1.0, 0.3, -0.2, -1.1])
    wins = 100 / (1 + np.exp(theta[None, :] - theta[:, None]))
    np.fill_diagonal(wins, 0)
    wins[0, 3] = wins[3, 0] = 0  # not every pair need have met
    assert log_strengths(wins[None])[0] == pytest.approx(theta, abs=1e-6)


def test_strengths_are_the_maximum_of_the_likelihood() -> None:
    wins = np.array([[0, 7, 9], [3, 0, 6], [2, 5, 0]], float)
    theta = log_strengths(wins[None])[0]
    chance = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    # At the maximum, each run has won as often as the model expects.
    expected = ((wins + wins.T) * chance).sum(axis=1)
    assert expected == pytest.approx(wins.sum(axis=1), abs=1e-6)


def test_chance_over_another_is_the_mean_over_the_others() -> None:
    theta = np.log(np.array([[4.0, 2.0, 1.0]]))
    assert chance_over_others(theta)[0] == pytest.approx(
        [(4 / 6 + 4 / 5) / 2, (2 / 6 + 2 / 3) / 2, (1 / 5 + 1 / 3) / 2]
    )


@pytest.mark.parametrize(
    "wins",
    [
        [[0, 5], [0, 0]],
        [[0, 3, 3], [2, 0, 3], [0, 0, 0]],
        [[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 2], [0, 0, 2, 0]],
        [[0, 0], [0, 0]],
    ],
    ids=["one wins all", "one loses all", "two that never met two others", "nothing"],
)
def test_without_a_maximum_there_are_no_strengths(wins: list[list[int]]) -> None:
    table = np.array(wins, float)
    assert not has_maximum(table)
    assert list(have_maximum(np.stack([table, np.ones_like(table)]))) == [False, True]
    with pytest.raises(ValueError, match="won or lost everything"):
        log_strengths(table[None])


def test_a_ranking_has_intervals_around_its_strengths() -> None:
    truth = {"a": 1.0, "b": 0.0, "c": -1.0}
    rng = np.random.default_rng(0)
    votes = []
    for rater in range(12):
        for clip in range(8):
            for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
                first_wins = rng.random() < 1 / (1 + math.exp(truth[other] - truth[one]))
                votes.append(vote(f"r{rater}", f"c{clip}", *((one, other) if first_wins else (other, one))))
    found = ranking(Tally.of(votes, list(truth)), CONFIG)
    assert found is not None
    assert {run: standing.rank for run, standing in found.items()} == {"a": 1, "b": 2, "c": 3}
    for run, standing in found.items():
        assert standing.strength.low < truth[run] < standing.strength.high
        assert standing.strength.low < standing.strength.mean < standing.strength.high
        assert 0 < standing.chance.low < standing.chance.mean < standing.chance.high < 1


def test_too_few_votes_give_strengths_without_intervals() -> None:
    votes = [vote("r0", "c0", "a", "b"), vote("r1", "c0", "b", "a")]  # half of the resamples have one winner
    found = ranking(Tally.of(votes, ["a", "b"]), CONFIG)
    assert found is not None and found["a"].rank == found["b"].rank == 1
    assert math.isnan(found["a"].strength.low)
    assert ranking(Tally.of(panel(3, 3, 1.0), ["a", "b"]), CONFIG) is None
    assert ranking(Tally.of([], ["a", "b"]), CONFIG) is None
