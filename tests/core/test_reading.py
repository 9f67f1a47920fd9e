"""Text from elsewhere: every file ends as values within limits, or in one sentence that names it."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.reading import (
    csv_rows,
    parse_json,
    parse_yaml,
    read_csv,
    read_json,
    read_section,
    read_text,
    read_yaml,
)


def loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def forbidden(path: Path) -> None:
    path.write_text("a: 1\n")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")


ODD: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": Path.mkdir,
    "a FIFO": os.mkfifo,
    "a socket": unix_socket,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "an endless one": lambda path: path.symlink_to("/dev/urandom"),
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "links in a loop": loop,
    "no permission": forbidden,
    "UTF-16": lambda path: path.write_bytes("a: é\n".encode("utf-16")),
    "UTF-16 without its mark": lambda path: path.write_bytes("a: b\n".encode("utf-16-le")),
    "Latin 1": lambda path: path.write_bytes("a: é\n".encode("latin-1")),
    "random bytes": lambda path: path.write_bytes(bytes(range(256)) * 40),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("read", [read_yaml, lambda path: read_json(path, "file")], ids=["YAML", "JSON"])
def test_what_is_no_text_file_is_named(tmp_path: Path, kind: str, read: Callable[[Path], Any]) -> None:
    path = tmp_path / "odd.file"
    ODD[kind](path)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"odd\.file"):
        read(path)
    assert time.monotonic() - began < 5


def test_names_that_no_system_takes_are_said(tmp_path: Path) -> None:
    for name in ("x" * 300, "nul\0byte", "x/" * 3000):
        with pytest.raises(UserError, match=r"cannot be read|no file"):
            read_text(tmp_path / name, "file")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be read"):
        read_text(tmp_path / "file" / "below", "file")


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a sparse one
    with pytest.raises(UserError, match=r"long\.yaml has more than"):
        read_yaml(path)


def test_a_byte_order_mark_and_line_ends_are_no_content(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: {c: [x]}\r\n")
    assert read_yaml(path) == {"a": 1, "b": {"c": ["x"]}}
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path, "file") == {"a": 1}


BILLION = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10) if i else 'x'}]\n" for i in range(10))
HOSTILE_YAML = {
    "aliases that explode": BILLION,
    "merges that explode": "a: &a0 {k: 1}\n"
    + "".join(f"b{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10)),
    "aliases that nest": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200)),
    "recursion": "a: &a [*a]\n",
    "recursion of keys": "&a {*a : 1}\n",
    "an alias of nothing": "a: *b\n",
    "depth": "a: " + "[" * 5000 + "]" * 5000,
    "depth of sections": "".join(" " * i + "a:\n" for i in range(3000)),
    "many values": "a: [" + "1," * 200_000 + "]",
    "a list as a key": "? [a, b]\n: 1\n",
    "a section as a key": "? {a: b}\n: 1\n",
    "a key twice": "a: {b: 1, b: 2}\n",
    "5,000 digits": f"a: {'9' * 5000}\n",
    "5,000 hexadecimal digits": f"a: 0x{'f' * 5000}\n",
    "5,000 sixtieths": f"a: 1{':59' * 5000}\n",
    "a number with 5,000 zeros": f"a: 1.{'0' * 5000}e+5\n",
    "a key of 5,000 digits": f"{'9' * 5000}: a\n",
    "month 13": "a: 2024-13-01\n",
    "30 February": "a: 2023-02-30 10:00:00\n",
    "hour 99": "a: 2023-02-03 99:99:99\n",
    "no digit": "a: 0b_\n",
    "an equals sign": "a: =\n",
    "Python": "a: !!python/object/apply:os.system ['touch pwned']\n",
    "a name of Python": "a: !!python/name:os.system\n",
    "a tag that lies": "a: !!timestamp x\n",
    "another": "a: !!bool perhaps\n",
    "binary": "a: !!binary '*'\n",
    "a list": "- 1\n- 2\n",
    "a text": "words\n",
    "nothing": "",
    "two documents": "a: 1\n---\nb: 2\n",
    "a control character": "a: \x07\n",
    "a brace": "a: {\n",
    "a tab": "a:\n\tb: 1\n",
    "JSON cut off": '{"a": [1, 2',
}


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_hostile_yaml_ends_in_a_sentence(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd.yaml"
    path.write_text(HOSTILE_YAML[kind])
    began = time.monotonic()
    with pytest.raises(UserError, match=r"odd\.yaml") as refused:
        read_yaml(path)
    assert time.monotonic() - began < 10 and len(str(refused.value)) < 600
    assert [file.name for file in tmp_path.iterdir()] == ["odd.yaml"]


@settings(max_examples=300)
@given(st.text(alphabet=st.sampled_from("ab:{}[]&*!?-|>%@'\"#,.0123456789eExX_ \n\t~=<é"), max_size=60))
def test_any_text_is_values_or_refused(text: str) -> None:
    try:
        parse_yaml(text)
    except yaml.YAMLError:
        return


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_what_is_written_is_read(content: Any) -> None:
    assert parse_yaml(yaml.safe_dump(content)) == content
    assert parse_json(json.dumps(content)) == content


def test_anchors_are_written_out() -> None:
    read = parse_yaml("a: &a {x: 1, y: [1, 2]}\nb: {<<: *a, x: 3}\nc: [*a, *a]\n")
    assert read == {"a": {"x": 1, "y": [1, 2]}, "b": {"x": 3, "y": [1, 2]}, "c": [{"x": 1, "y": [1, 2]}] * 2}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1,]", "nul", '{"a": 1, "a": 2}', "9" * 5000, f'{{"a": {"9" * 5000}}}', "[" * 60 + "]" * 60),
        *("[" * 100_000 + "]" * 100_000, '{"a":' * 60 + "1" + "}" * 60, "{'a': 1}", '{"a": 1} x'),
        *('{"a": NaN}', "[-Infinity]"),
    ],
    ids=range(14),
)
def test_hostile_json_ends_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"thing .*odd\.json is not valid JSON") as refused:
        read_json(path, "thing")
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column 'a'"),
        ("a\n1\n", "no column 'b'"),
        ("a,b,a\n1,2,3\n", "twice"),
        ("a,b\n1\n", "1 cells in line 2"),
        ("a,b\n1,2\n1,2,3\n", "3 cells in line 3"),
        ('a,b\n"1,2\n', "line 2"),
        ('a,b\n"1"x,2\n', "line 2"),
        (f"a,b\n{'x' * 200_000},2\n", "line 2"),
    ],
)
def test_hostile_tables_end_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(UserError, match=f"the-table.*{says}"):
        list(csv_rows(text.splitlines(keepends=True), ("a", "b"), "the-table"))


def test_rows_of_a_table() -> None:
    lines = ["b,a,c", '1,"x, y",2', "", "3,\u2028,4", ""]
    assert [(row["a"], row["b"]) for row in csv_rows(lines, ("a", "b"), "t")] == [("x, y", "1"), ("\u2028", "3")]


def test_a_table_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("b,a\n1,\u2028\n", encoding="utf-8")
    assert list(read_csv(tmp_path / "table.csv", "table", ("a",))) == [{"b": "1", "a": "\u2028"}]
    with pytest.raises(UserError, match=r"table\.csv has no column 'c'"):
        list(read_csv(tmp_path / "table.csv", "table", ("c",)))


def test_a_data_set_that_is_not_configured_is_answered_with_the_key(tmp_path: Path) -> None:
    layout = Layout("vox", tmp_path)
    with pytest.raises(UserError, match=r"configs/vox/split\.yaml: add 'vox' to `datasets` .*`tpsm configure`"):
        read_section(layout, "split")
    layout.configs.mkdir(parents=True)
    (layout.configs / "split.yaml").write_text("name: null\n")
    assert read_section(layout, "split") == {"name": None}


def test_a_file_that_is_read_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: 1\n")
    path.chmod(stat.S_IRUSR)
    assert read_yaml(path) == {"a": 1}
