"""Reads text from elsewhere: regular files in UTF-8, and YAML, JSON and CSV within limits.

Whatever is wrong with a file becomes a `UserError` that names it. YAML's aliases, tags and nesting are checked before
anything is built of them, so that no small file can take much time or memory.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tpsm.core.errors import UserError
from tpsm.core.layout import Layout, did_you_mean
from tpsm.core.schema import typed

LARGEST_TEXT, LARGEST_YAML = 1 << 28, 1 << 20
"""The most bytes of a text file, and of a YAML file."""
DEEPEST, MOST_VALUES, LONGEST_NUMBER = 50, 100_000, 40
"""Limits of a YAML file: sections within sections (of JSON too), values with all aliases written out, and the
characters of a number."""
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def require_file(path: Path, what: str) -> None:
    """Raises UserError unless `path` is a regular file, or a link to one: a pipe or a device would be waited for."""
    try:
        os.stat(path)
        there = True
    except FileNotFoundError:
        there = path.is_symlink()
    except OSError as error:  # links in a loop, a name that is too long, a folder that may not be entered
        raise UserError(f"The {what} {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:  # a name with a NUL
        raise UserError(f"The {what} {str(path)!r} cannot be read ({error}).") from error
    if not there:
        raise UserError(f"There is no {what} {path}; name another.")
    if not path.is_file():
        raise UserError(f"The {what} {path} is no regular file; give a file that is whole on disk.")


def read_text(path: Path, what: str, most: int = LARGEST_TEXT) -> str:
    """Returns the text of a file in UTF-8, with its line ends as they stand and without a byte order mark.

    Raises:
        UserError: it is missing, no regular file, unreadable, larger than `most` bytes, or of another encoding.
    """
    require_file(path, what)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(f"The {what} {path} cannot be read ({error.strerror}).") from error
    if len(content) > most:
        raise UserError(f"The {what} {path} has more than {most:,} bytes, which no such file needs; name another.")
    if (zero := content.find(0)) >= 0:  # It would pass as UTF-8.
        raise UserError(f"The {what} {path} is no text (byte {zero} is zero); save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"The {what} {path} is no UTF-8 text (byte {error.start}); save it as UTF-8.") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Returns the sections of a YAML file.

    Raises:
        UserError: it cannot be read, a key stands twice in a section, or it is beyond a limit.
    """
    try:
        content = parse_yaml(read_text(path, "file", LARGEST_YAML))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold sections of keys and values.")
    return content


def read_section(layout: Layout, name: str) -> dict[str, Any]:
    """Returns what `tpsm configure` resolved for a data set and wrote to `configs/<data set>/<name>.yaml`.

    Raises:
        UserError: as `read_yaml`; or the data set is not configured, and then the message names the key to change.
    """
    path = layout.configs / f"{name}.yaml"
    if not path.exists():
        others = [] if layout.configs.is_dir() else [other.name for other in layout.configs.parent.glob("*")]
        meant = did_you_mean(layout.dataset, others)
        raise UserError(
            f"There is no {layout.relative(path)}{meant}: add '{layout.dataset}' to `datasets` in params.yaml, and "
            "type `tpsm configure`."
        )
    return read_yaml(path)


def read_labels(layout: Layout) -> dict[str, str]:
    """Returns what tables and figures call each run. Raises UserError as `read_section`, or where one is no text."""
    return typed(dict[str, str], read_section(layout, "labels"), str(layout.relative(layout.labels)))


def parse_yaml(text: str) -> Any:
    """Returns a YAML document of plain values. Raises yaml.YAMLError where anything is wrong with it."""
    _check_size(yaml.parse(text, Loader))
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_values(node)
        return loader.construct_document(node)
    except ValueError as error:  # a date in month 13, or 0x without a digit
        raise yaml.YAMLError(f"a value makes no sense ({error})") from error
    finally:
        loader.dispose()


def _check_size(events: Iterable[yaml.Event]) -> None:
    """Reads the file without building anything, counts what its aliases stand for, and gives up at the first excess."""
    values, anchored = 0, dict[str, tuple[int, int]]()
    opened: list[tuple[str | None, int, int]] = [(None, 0, 0)]  # sections: anchor, values before them, height so far
    for event in events:
        # How many values the event stands for, and how deep they lie.
        anchor, size, height = getattr(event, "anchor", None), 0, 0
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((anchor, values, 0))
            values, anchor = values + 1, None
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before, height = opened.pop()
            size, height = values - before, height + 1
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in anchored:
                raise yaml.YAMLError(f"the alias *{anchor} stands for itself, or for nothing")
            (size, height), anchor = anchored[anchor], None
            values += size
        elif isinstance(event, yaml.ScalarEvent):
            size, values = 1, values + 1

        # What an alias of it will cost, and what it adds to the section that it stands in.
        if anchor is not None:
            anchored[anchor] = size, height
        owner, before, tallest = opened[-1]
        opened[-1] = owner, before, max(tallest, height)

        # The limits, and tags, which could build objects.
        if values > MOST_VALUES:
            raise yaml.YAMLError(f"it has more than {MOST_VALUES:,} values, those that its aliases repeat counted too")
        if len(opened) + height > DEEPEST:
            raise yaml.YAMLError(f"its sections lie deeper than {DEEPEST} in one another")
        if (tag := getattr(event, "tag", None)) is not None:
            raise yaml.YAMLError(f"the tag {tag:.40} is not read here")


def _check_values(node: yaml.Node) -> None:
    """Raises yaml.YAMLError at a key that stands twice in a section, of which YAML would silently take the last, at one
    that is no plain value, and at a number that is too long."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_values(item)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"the key in line {line} is a list or a section")
            if key.value in seen:
                raise yaml.YAMLError(
                    f"the key '{key.value}' stands twice in one section, in lines {seen[key.value]} and {line}"
                )
            seen[key.value] = line
            _check_values(key)
            _check_values(value)
    elif node.tag.endswith((":int", ":float", ":timestamp")) and len(node.value) > LONGEST_NUMBER:
        raise yaml.YAMLError(f"the number in line {node.start_mark.line + 1} has {len(node.value):,} characters")


def read_json(path: Path, what: str) -> Any:
    """Returns what a JSON file holds; `what` says in messages what the file should be.

    Raises:
        UserError: it cannot be read, or is no JSON.
    """
    try:
        return parse_json(read_text(path, what))
    except ValueError as error:
        raise UserError(f"The {what} {path} is not valid JSON ({str(error)[:200]}); get or make it anew.") from error


def read_curve(path: Path) -> list[dict[str, float]]:
    """Returns a row of `step`, `epoch`, the losses by name and `total`, their sum, for each step.

    Raises:
        UserError: the file is no table that has them, or a number is none.
    """
    rows = read_csv(path, "training curve", ("step", "epoch", "total"))
    try:
        return [{key: float(value) for key, value in row.items() if value} for row in rows]
    except ValueError as error:
        raise UserError(f"{path} is no training curve ({error}); get it anew, or train the run again.") from error


def parse_json(text: str) -> Any:
    """Returns what a JSON text holds.

    Raises:
        ValueError: the text is no JSON, a key stands twice, a number is none or has too many digits, sections lie too
            deep, or a character is half.
    """
    try:
        content = json.loads(text, object_pairs_hook=_section, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError(f"its sections lie deeper than {DEEPEST} in one another") from error
    layer, depth = [content], 0
    while layer:
        layer = [item for value in layer for item in _inside(value)]
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"its sections lie deeper than {DEEPEST} in one another")
    if "\\ud" in text.lower():  # Halves of a character may be written so, one without the other.
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("it holds half a character") from error
    return content


def _refuse_constant(name: str) -> None:
    """Refuses what Python writes and reads although JSON does not know it."""
    raise ValueError(f"{name} is no number of JSON")


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _section(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    section = dict(pairs)
    if len(section) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key '{twice[:80]}' stands twice in one section")
    return section


def read_csv(path: Path, what: str, columns: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yields the rows of a CSV file that has `columns`, and perhaps others.

    Raises:
        UserError: as `read_text` and `csv_rows`.
    """
    return csv_rows(io.StringIO(read_text(path, what), newline=""), columns, str(path))


def csv_rows(lines: Iterable[str], columns: Sequence[str], where: str, hint: str = "") -> Iterator[dict[str, str]]:
    """Yields the rows of a table that has `columns`, and perhaps others; one row is in memory at a time.

    Raises:
        UserError: a column is missing, and `hint` says what to do; one stands twice; or a row has another number of
            cells. `where` names the file.
    """
    reader = csv.reader(lines, strict=True)
    try:
        head = next(reader, [])
        if missing := [column for column in columns if column not in head]:
            raise UserError(f"{where} has no column '{missing[0]}'; it needs {', '.join(columns)}{hint}.")
        if len(set(head)) < len(head):
            raise UserError(f"{where} has a column twice; remove one.")
        for row in reader:
            if row and len(row) != len(head):
                raise UserError(
                    f"{where} has {len(row)} cells in line {reader.line_num} and {len(head)} columns; mend that line."
                )
            if row:
                yield dict(zip(head, row, strict=True))
    except csv.Error as error:
        raise UserError(f"{where} is no table of comma-separated values (line {reader.line_num}: {error}).") from error
