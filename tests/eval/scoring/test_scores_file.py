"""Score files from elsewhere: what fits the schema is read, and all else ends in one sentence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval.__main__ import main
from eval.scoring.scores_file import COLUMNS, NEWER, about_scores, read_scores, write_scores
from tpsm.core.errors import UserError
from tpsm.core.provenance import record

REMEDY = "score it again."
MADE = record(0.0, parameters={}, precision="fp32")


def rows() -> pd.DataFrame:
    """Two clips and a pair, three frames each; one frame does not count."""
    tables = []
    parts = (("reconstruction", "", "a#0"), ("reconstruction", "", "b#0"), ("animation", "avd", "a--b"))
    for task, mode, clip in parts:
        about = {"dataset": "dots", "run": "tps", "task": task, "mode": mode, "clip": clip, "identity": clip[0]}
        about |= {"metric": "l1", "protocol": "strict", "version": 2}
        tables.append(pd.DataFrame(about | {"frame": np.arange(3, dtype=np.int32), "value": [0.5, np.nan, 0.25]}))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "scores" / "dots" / "tps.parquet"
    write_scores(path, rows(), {"run": {"method": "tps"}, "provenance": MADE})
    return path


def test_scores_come_back(path: Path) -> None:
    pd.testing.assert_frame_equal(read_scores(path, REMEDY)[COLUMNS], rows(), check_dtype=False)
    assert about_scores(path) == {"run": {"method": "tps"}, "provenance": MADE}


def test_dictionaries_and_other_widths_are_read_alike(path: Path) -> None:
    texts = [column for column in COLUMNS if column not in ("frame", "version", "value")]
    changed = rows().astype({column: "category" for column in texts} | {"frame": "uint8", "value": "float32"})
    changed.assign(further="x").to_parquet(path)
    pd.testing.assert_frame_equal(read_scores(path, REMEDY)[COLUMNS], rows(), check_dtype=False)


def test_columns_that_older_scores_lack_are_filled(path: Path) -> None:
    rows().drop(columns=["protocol", "version"]).to_parquet(path)
    assert set(read_scores(path, REMEDY, NEWER)["version"]) == {0}
    with pytest.raises(UserError, match="lacks the column 'protocol'"):
        read_scores(path, REMEDY)


def at(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """One cell is changed."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object}) if isinstance(value, str | None) else table
        table.loc[1, column] = value
        return table

    return change


def everywhere(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(**{column: value})


ALTERED: dict[str, tuple[Callable[[pd.DataFrame], Any], str]] = {
    **{f"no {column}": (lambda t, c=column: t.drop(columns=c), f"lacks the column '{column}'") for column in COLUMNS},
    **{
        f"{column} of numbers": (everywhere(column, 7), f"in the column '{column}', which holds texts")
        for column in COLUMNS
        if column not in ("frame", "version", "value")
    },
    **{
        f"{column} of words": (everywhere(column, "x"), f"in the column '{column}', which holds")
        for column in ("frame", "version", "value")
    },
    **{
        f"{column} missing once": (at(column, None), f"empty cells in the column '{column}'")
        for column in COLUMNS
        if column not in ("frame", "version", "value")
    },
    **{
        f"{column} of lists": (lambda t, c=column: t.assign(**{c: [[1]] * len(t)}), f"in the column '{column}'")
        for column in ("clip", "value")
    },
    "no rows": (lambda table: table.iloc[:0], "has 0 rows"),
    "infinite": (at("value", np.inf), "infinite"),
    "minus infinite": (at("value", -np.inf), "infinite"),
    "complex": (everywhere("value", "1+2j"), "column 'value'"),
    "a row twice": (lambda table: pd.concat([table, table.iloc[:1]]), "l1 of frame 0 of 'a#0' twice"),
    "all rows twice": (lambda table: pd.concat([table, table]), "twice"),
    "twice with other values": (lambda table: pd.concat([table, table.assign(value=9.0)]), "twice"),
    "frames of halves": (everywhere("frame", 0.5), "column 'frame'"),
    "a negative frame": (at("frame", -1), "a frame or a version that makes no sense"),
    "a huge version": (at("version", 2**60), "a frame or a version that makes no sense"),
    "another task": (at("task", "magic"), "a task 'magic'"),
    "a reconstruction in a mode": (at("mode", "relative"), "in the mode 'relative'"),
    "HTML in a mode": (everywhere("mode", "<script>alert(1)</script>"), "in the mode '<script>"),
    "a protocol of its own": (everywhere("protocol", "mine"), "a protocol 'mine'"),
    "no name": (at("clip", ""), "without a name in the column 'clip'"),
    "no metric": (at("metric", ""), "without a name in the column 'metric'"),
    "two runs": (at("run", "fomm"), "more than one value in the column 'run'"),
    "two data sets": (at("dataset", "faces"), "more than one value in the column 'dataset'"),
    "a long text": (at("clip", "x" * 100_000), "a text of 100,000 characters"),
}


@pytest.mark.parametrize("kind", ALTERED)
def test_altered_scores_are_refused(path: Path, kind: str) -> None:
    change, says = ALTERED[kind]
    change(rows()).to_parquet(path, index=False)
    with pytest.raises(UserError) as refused:
        read_scores(path, REMEDY)
    message = str(refused.value)
    assert message.startswith(str(path)) and says in message and message.endswith(REMEDY) and len(message) < 500


def test_a_column_twice_is_refused(path: Path) -> None:
    table = pa.Table.from_pandas(rows(), preserve_index=False)
    pq.write_table(table.append_column("value", table["value"]), path)
    with pytest.raises(UserError, match="the column 'value' twice"):
        read_scores(path, REMEDY)


def test_more_rows_than_any_scores_have_are_not_read(path: Path) -> None:
    """A small file may declare millions of equal rows."""
    pq.write_table(pa.table({"value": pa.repeat(pa.scalar(1.0), 21_000_000)}), path)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="has 21,000,000 rows"):
        read_scores(path, REMEDY)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_torn_and_spoilt_files_are_read_or_refused(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    kind = data.draw(st.sampled_from(["cut", "spoilt", "random", "hole"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    if kind == "cut":
        path.write_bytes(whole[:place])
    elif kind == "spoilt":
        path.write_bytes(whole[:place] + data.draw(st.binary(min_size=1, max_size=9)) + whole[place + 1 :])
    elif kind == "hole":
        path.write_bytes(whole[:place] + whole[place + data.draw(st.integers(1, 200)) :])
    else:
        path.write_bytes(b"PAR1" + data.draw(st.binary(max_size=200)) + b"PAR1")
    for read in (lambda: read_scores(path, REMEDY), lambda: about_scores(path)):
        try:
            read()
        except UserError as error:
            assert path.name in str(error)
    path.write_bytes(whole)


@pytest.mark.parametrize(
    "about",
    [
        *(b"", b"{", b"[]", b"3", b'"x"', b"\xff\xfe", b'{"run": 3}', b'{"run": {}, "provenance": []}'),
        *(b"[" * 9999, b'{"run": {}, "run": {}}', b"9" * 5000),
        *(b'{"run": {"keypoints": "many"}}', b'{"run": {"method": ["tps"]}}', b'{"run": {"size": Infinity}}'),
    ],
    ids=range(14),
)
def test_metadata_that_is_no_section_is_refused(path: Path, about: bytes) -> None:
    table = pa.Table.from_pandas(rows(), preserve_index=False)
    pq.write_table(table.replace_schema_metadata({b"tpsm": about}), path)
    with pytest.raises(UserError, match=r"tps\.parquet .*score the run again"):
        about_scores(path)


OTHERS = [
    (key, value)
    for key in (*MADE, "code.commit", "hardware.gpus")
    for value in ("lacks", ["x"], {"x": [7]})
    if key != "data" or value == ["x"] or value == "lacks"  # what a set says of itself may be anything
    if (key, value) != ("outside", "lacks")  # older records have none
]


@pytest.mark.parametrize(("key", "value"), OTHERS, ids=str)
def test_a_record_of_another_kind_is_refused(path: Path, key: str, value: object) -> None:
    made: dict[str, Any] = json.loads(json.dumps(MADE))
    *above, last = key.split(".")
    inner = made[above[0]] if above else made
    inner.pop(last) if value == "lacks" else inner.update({last: value})
    table = pa.Table.from_pandas(rows(), preserve_index=False)
    about = json.dumps({"run": {}, "provenance": made}).encode()
    pq.write_table(table.replace_schema_metadata({b"tpsm": about}), path)
    with pytest.raises(UserError, match=rf"tps\.parquet.*{re.escape(key)}"):
        about_scores(path)


def test_scores_that_say_nothing_of_themselves_are_read(path: Path) -> None:
    rows().to_parquet(path)
    assert about_scores(path) == {} and len(read_scores(path, REMEDY)) == 9


@pytest.mark.parametrize("kind", ["FIFO", "folder", "nothing", "text", "empty"])
def test_what_is_no_parquet_file_is_refused(path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = path.with_name("other.parquet")
    path.rename(whole)
    make: dict[str, Callable[[], object]] = {
        "FIFO": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "nothing": lambda: None,
        "text": lambda: path.write_text("clip,value\n"),
        "empty": path.touch,
    }
    make[kind]()
    assert main(["compare", str(path), str(whole)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and ("tps.parquet" in said or "two folders" in said)


def test_a_data_set_in_a_score_file_leads_nowhere(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The certificate is looked for beside the file, whatever the rows say of their data set."""
    secret = path.parents[3] / "secret"
    secret.mkdir()
    (secret / "coverage.json").write_text(json.dumps({"content": {"a#0": "x"}}))
    rows().assign(dataset="../../secret").to_parquet(path)
    assert main(["compare", str(path), str(path)]) == 0
    assert "0 known to have the same frames" in capsys.readouterr().out
