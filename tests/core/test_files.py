"""Files that are whole or absent, whatever ends the process that writes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from killing import KILLER, Killed, files

from tpsm.core.errors import UserError
from tpsm.core.files import atomic, atomic_folder, locked, remove_folder, write_text


def write_folder(path: Path, content: str) -> None:
    with atomic_folder(path, replace=True) as draft:
        for name in ("a", "b"):
            (draft / name).mkdir()
            write_text(draft / name / "file.txt", content)


def test_a_folder_is_old_or_new_or_gone_and_no_draft_stays(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    with KILLER.after(10**6, tmp_path / "whole"):
        write_folder(tmp_path / "whole" / "folder", "old")
        write_folder(tmp_path / "whole" / "folder", "new")
        operations = KILLER.count
    expected = files(tmp_path / "whole")
    assert set(expected.values()) == {b"new"} and operations > 15
    for count in range(operations):
        top = tmp_path / str(count)
        top.mkdir()
        with pytest.raises(Killed), KILLER.after(count, top):
            write_folder(top / "folder", "old")
            write_folder(top / "folder", "new")
        found = files(top / "folder")
        assert len(found) in (0, 2) and len(set(found.values())) <= 1, count
        write_folder(top / "folder", "new")
        assert files(top) == expected, count


def test_a_draft_of_a_dead_process_is_taken_over_and_one_of_a_living_is_not(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from tpsm.core.files import atomic\n"
    code += "with atomic(Path(sys.argv[1])) as draft: draft.write_text('other'); print('writing', flush=True); input()"
    path = tmp_path / "file.txt"
    command = [sys.executable, "-c", code, str(path)]
    for ends in ("lives", "dies"):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdin is not None and other.stdout is not None and other.stdout.readline() == "writing\n"
            if ends == "dies":
                other.kill()
                other.wait()
            write_text(path, "mine")
            assert path.read_text() == "mine"
            if ends == "lives":
                other.stdin.write("\n")
        assert path.read_text() == ("other" if ends == "lives" else "mine")
        assert [child.name for child in tmp_path.iterdir()] == ["file.txt"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    for make in (atomic, atomic_folder):
        with pytest.raises(KeyError), make(path):
            raise KeyError
    assert files(tmp_path) == {"file.txt": b"old"}


def test_a_link_in_a_drafts_place_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    (tmp_path / ".file.draft.txt").symlink_to(precious)
    write_text(tmp_path / "file.txt", "mine")
    assert precious.read_text() == "precious" and (tmp_path / "file.txt").read_text() == "mine"


def test_a_lock_is_held_once_and_names_its_holder(tmp_path: Path) -> None:
    lock, message = tmp_path / "x.lock", r"It is already under way in process \d+ on"
    with locked(lock, "It"), pytest.raises(UserError, match=message), locked(lock, "It"):
        pass
    with locked(lock, "It"):
        pass


@pytest.mark.parametrize("left", ["nothing", "a link", "a dangling link", "a folder"])
def test_of_a_link_to_a_folder_the_link_alone_is_replaced(tmp_path: Path, left: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_text("stays")
    (tmp_path / "results").symlink_to("elsewhere")
    doomed = tmp_path / ".results.removed"  # what a killed process was at
    if left == "a folder":
        (doomed / "inside").mkdir(parents=True)
    elif left != "nothing":
        doomed.symlink_to("elsewhere" if left == "a link" else "nowhere")
    with atomic_folder(tmp_path / "results", replace=True) as draft:
        (draft / "b").write_text("new")
    assert not (tmp_path / "results").is_symlink()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["b"]
    assert (tmp_path / "elsewhere" / "a").read_text() == "stays"
    assert {path.name for path in tmp_path.iterdir()} == {"results", "elsewhere"}


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_folder(tmp_path / "absent")
