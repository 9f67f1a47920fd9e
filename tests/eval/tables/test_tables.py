"""Cells, and the three ways of writing a table."""

from __future__ import annotations

import csv
import io
import math

import pytest

from eval.metrics import Metric, load
from eval.stats.intervals import Estimate
from eval.tables.published import FILE, read_published
from eval.tables.rates import within_range
from eval.tables.table import Missing, Table, Value, number, to_csv, to_latex, to_markdown
from tpsm.core.errors import UserError

ESTIMATE = Estimate(0.027849, 0.026912, 0.028741, clips=28, frames=672)
TABLE = Table(
    name="demo",
    title="Demo & more",
    columns=("Run", "Parameters", "L1 ↓", "AKD ↓"),
    rows=(
        ("TPSMM_a", 1234567, Value(ESTIMATE, 4, best=True), Value(Estimate(5.414, math.nan, math.nan, 1, 1), 2)),
        ("FOMM | b", Missing("not trained"), Missing("not run"), Value(Estimate(-0.001, -0.5, 0.5, 2, 2), 2)),
    ),
    notes=("A note.",),
)


@pytest.mark.parametrize(
    ("value", "decimals", "signed", "text"),
    [
        (0.0278, 4, False, ".0278"),
        (5.414, 2, False, "5.41"),
        (-0.25, 2, False, "-.25"),
        (-0.00001, 3, False, ".000"),
        (0.5, 1, True, "+.5"),
        (10.04, 1, False, "10.0"),
        (0.0, 2, True, ".00"),
    ],
)
def test_numbers_are_printed_as_in_the_papers(value: float, decimals: int, signed: bool, text: str) -> None:
    assert number(value, decimals, signed=signed) == text


@pytest.mark.parametrize("name", ["mkr", "landmarks_found", "joints_found", "identity_found"])
def test_the_bounds_of_a_rate_are_no_rates_of_their_own(name: str) -> None:
    rate = load(name)[0]

    def bounds(low: float, high: float, metric: Metric = rate) -> tuple[float, float]:
        found = within_range(Estimate(0.5, low, high, clips=6, frames=60), metric)
        assert (found.mean, found.clips) == (0.5, 6)
        return found.low, found.high

    assert bounds(-0.2, 1.01) == (0, 1) and bounds(0.3, 0.7) == (0.3, 0.7)
    assert all(map(math.isnan, bounds(math.nan, math.nan))), "a single unit has no interval"
    assert bounds(-0.2, 1.01, load("psnr")[0]) == (-0.2, 1.01)


def test_markdown() -> None:
    lines = to_markdown(TABLE).splitlines()
    assert lines[2] == "| Run | Parameters | L1 ↓ | AKD ↓ |"
    assert lines[4] == "| TPSMM_a | 1,234,567 | **.0278 [.0269, .0287]** | 5.41 |"
    assert lines[5] == r"| FOMM \| b | n/a (not trained) | n/a (not run) | .00 [-.50, .50] |"
    assert lines[-1].strip() == "A note."


def test_csv_keeps_precision_bounds_and_reasons() -> None:
    first, second = csv.DictReader(io.StringIO(to_csv(TABLE)))
    assert (first["L1 ↓"], first["L1 ↓ low"], first["L1 ↓ high"]) == ("0.027849", "0.026912", "0.028741")
    assert (first["AKD ↓"], first["AKD ↓ low"]) == ("5.414", "")
    assert first["Parameters"] == "1234567"
    assert (second["L1 ↓"], second["L1 ↓ high"]) == ("n/a (not run)", "")
    assert second["Run"] == "FOMM | b"


def test_latex_escapes_and_sets_bold() -> None:
    text = to_latex(TABLE)
    assert r"TPSMM\_a & 1,234,567 & \textbf{.0278 [.0269, .0287]} & 5.41 \\" in text
    assert r"Demo \& more" in text and r"\begin{tabular}{lrrr}" in text and r"\label{tab:demo}" in text
    assert "↓" not in text


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(ValueError, match="2 columns"):
        Table("t", "t", ("a", "b"), (("only one",),))


def test_published_numbers_carry_their_marks() -> None:
    taichi = read_published("taichi", "evaluation.x.published")
    assert taichi.text(taichi.rows.get("tpsmm", ()), "taichi") == ".045 (4.57, .018) .151 [TPSMM Tables 1 and 4]"
    assert taichi.text(taichi.rows.get("fomm", ()), "taichi") == ".055 (6.62, .031) .164† [TPSMM Table 1]"
    assert taichi.text(taichi.rows.get("tpsmm", ()), "puppets") == ".045 (4.57, .018) .151‡ [TPSMM Tables 1 and 4]"
    assert taichi.text(taichi.rows.get("mraa", ()), "taichi").count(";") == 1, (
        "the two papers disagree, and both are printed"
    )
    assert taichi.text(taichi.rows.get("tpsmm-k2", ()), "taichi") == "n/a"


@pytest.mark.parametrize("name", ["taichi", "ted", "vox", "mgif"])
def test_every_published_set_is_readable(name: str) -> None:
    rows = read_published(name, "key").rows
    assert {"fomm", "mraa", "tpsmm"} <= set(rows)
    assert all(entry.l1 or entry.akd for entries in rows.values() for entry in entries)


def test_an_unknown_published_set_is_named() -> None:
    assert FILE.is_file()
    with pytest.raises(UserError, match=r"evaluation\.d\.published is 'coco'"):
        read_published("coco", "evaluation.d.published")
