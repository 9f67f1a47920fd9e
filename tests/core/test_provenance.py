"""What a record of provenance holds, and what it must never hold."""

import getpass
import json
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tpsm.core import provenance
from tpsm.data.manifest import Entry, Manifest

ROOT = Path(__file__).parents[2]


def manifest(test: str = "b") -> Manifest:
    entries = [Entry(name, name, "test" if name == test else "train", 2, 8, 8, 25.0, name * 64, False) for name in "ab"]
    return Manifest("drawn", 8, tuple(entries))


def test_a_record_is_whole_json_and_names_no_place() -> None:
    made = provenance.record(
        time.monotonic() - 2, parameters={"a.yaml": "0" * 64}, precision="fp32", data=manifest().about()
    )
    text = json.dumps(made, allow_nan=False)
    assert made.keys() == provenance.Provenance.__dataclass_fields__.keys()
    assert 2 <= made["seconds"] < 3 and made["hardware"]["cores"] >= 1 and made["hardware"]["cpu"]
    assert made["versions"]["python"] == platform.python_version()
    for place in (str(ROOT), str(Path.home()) + "/", f'"{platform.node()}"', f'"{getpass.getuser()}"'):
        assert place not in text


def test_another_split_of_the_same_clips_is_another_hash() -> None:
    one, other = manifest("b").about(), manifest("a").about()
    assert one["sha256"] != other["sha256"] and one["split"]["train"] == other["split"]["test"] != one["split"]["test"]


def code_of(folder: Path) -> dict:
    """What the copy of the module in `folder` says of its code."""
    run = "import json; from tpsm.core.provenance import code; print(json.dumps(code()))"
    done = subprocess.run([sys.executable, "-c", run], cwd=folder, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_the_commit_and_whether_the_tree_was_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        author = ["-c", "user.name=A", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *author, *arguments], cwd=tmp_path, capture_output=True, check=True, text=True
        ).stdout

    shutil.copytree(ROOT / "tpsm", tmp_path / "tpsm", ignore=shutil.ignore_patterns("__pycache__"))
    git("init", "-q")
    assert code_of(tmp_path) == {"commit": None, "changed": None}, "this code is in no commit"
    git("add", "tpsm")
    git("commit", "-q", "-m", "code")
    head = git("rev-parse", "HEAD").strip()
    (tmp_path / "dvc.lock").write_text("a pipeline that runs writes this\n")
    assert code_of(tmp_path) == {"commit": head, "changed": False}
    (tmp_path / "params.yaml").write_text("runs: []\n")
    assert code_of(tmp_path) == {"commit": head, "changed": True}


def test_without_git_the_commit_is_not_known(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.code() == {"commit": None, "changed": None}
