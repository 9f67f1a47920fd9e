"""Names become folders, files and stages: they lead nowhere else, and joined ones stay apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eval.__main__ import main as evaluate
from tpsm.core.errors import UserError
from tpsm.core.layout import Layout, check_name, did_you_mean, file_name, pair_name, pair_parts

BAD = {
    "empty": "",
    "blank": "my run",
    "slash": "a/b",
    "backslash": "a\\b",
    "parent": "..",
    "far away": "../../../../evil",
    "here": ".",
    "hidden": ".git",
    "option": "-rf",
    "absolute": "/etc",
    "long": "x" * 300,
    "long in bytes": "\N{SNOWMAN}" * 60,
    "newline": "a\nb",
    "newline at the end": "a\n",
    "tab": "a\tb",
    "NUL": "a\0b",
    "colon": "a:b",
    "at": "a@b",
    "star": "a*",
    "variable": "${HOME}",
    "surrogate": "a\udcff",
    "comma": "a,b",
    "dot at the end": "a.",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_names_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--run is "):
        check_name(BAD[kind], "--run")
    with pytest.raises(UserError, match="data set is "):
        Layout(BAD[kind], tmp_path)
    for place in (Layout("dots", tmp_path).model, Layout("dots", tmp_path).outputs, Layout("dots", tmp_path).scores):
        with pytest.raises(UserError, match="run is "):
            place(BAD[kind])


@pytest.mark.parametrize("name", ["tps", "tps-seed1", "vox_256", "v1.0", "7", "größe", "猫", "a+b", "x" * 100])
def test_names_that_people_use_are_taken(name: str) -> None:
    assert check_name(name, "--run") == name


@given(st.text())
def test_a_name_that_is_taken_is_a_name_in_its_folder(name: str) -> None:
    try:
        check_name(name, "--run")
    except UserError:
        return
    assert (Path("models") / name).parts == ("models", name)
    assert name.isprintable() and len(f".{name}.draft.parquet".encode()) < 255


def test_a_near_name_is_found_whatever_its_case_and_never_the_name_itself() -> None:
    known = ("tps", "fomm", "tps-seed1")
    assert did_you_mean("tpsmm", known) == did_you_mean("TPS", known) == " (did you mean 'tps'?)"
    assert did_you_mean("seed1", known) == " (did you mean 'tps-seed1'?)"
    assert did_you_mean("fomm", known) == did_you_mean("zebra", known) == did_you_mean("tps", ()) == ""


names = st.text(alphabet="ab-%2D#", min_size=1, max_size=8)


@example(("a", "b--c"), ("a--b", "c"))
@example(("a-", "b"), ("a", "-b"))
@example(("a%2D", "b"), ("a-", "b"))
@given(st.tuples(names, names), st.tuples(names, names))
def test_names_of_pairs_stay_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (pair_name(*one) == pair_name(*other)) == (one == other)
    assert pair_parts(pair_name(*one)) == one


def test_ordinary_pairs_are_called_as_ever() -> None:
    assert pair_name("p1#0-a", "p2#3.mp4") == "p1#0-a--p2#3.mp4"


def test_a_colon_in_a_clips_name_is_a_name() -> None:
    assert file_name("id1:20.mp4") == "id1%3A20.mp4.zip"


@pytest.mark.parametrize(
    "command",
    [["features"], ["coverage"], ["report"], ["score", "--run", "real"], ["study", "make"], ["verify"]],
    ids=" ".join,
)
def test_eval_refuses_a_data_set_elsewhere(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate([*command, "--dataset", "../../evil"]) == 2
    assert "'../../evil'" in capsys.readouterr().err and not list(tmp_path.iterdir())
