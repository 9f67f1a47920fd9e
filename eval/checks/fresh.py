"""Is the committed report that of this code and these parameters? `make fresh` prints it; no data is needed.

A stage is stale where its command, its code or a resolved parameter is another than the one in dvc.lock, or where it
read what an earlier stage has since made anew. Data that is not here, as in a fresh clone, tells nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tpsm.core.reading import Loader

ABSENT = ("deleted", "not in cache")
EXEMPT = ("outside", "configure")
"""The stages that look each time, or whenever any code has changed, at what decides the others; what they write is what
counts."""


def stale(status: Mapping[str, list[Any]], lock: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The stages that would run again, and why: by what `dvc status --json` says, and the stages of dvc.lock."""
    found: dict[str, list[str]] = {}
    for stage, changes in status.items():
        for change in changes:
            if isinstance(change, str):
                found.setdefault(stage, []).append(change)
            else:
                paths = {path: state for of in change.values() for path, state in of.items()}
                reasons = [f"{path} ({state})" for path, state in paths.items() if state not in ABSENT]
                found.setdefault(stage, []).extend(reasons)
    made = {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", ())}
    for stage, written in lock.items():
        older = [dep["path"] for dep in written.get("deps", ()) if made.get(dep["path"], dep["md5"]) != dep["md5"]]
        found.setdefault(stage, []).extend(f"{path} (made anew)" for path in older)
    return {stage: reasons for stage, reasons in found.items() if reasons and stage not in EXEMPT}


def main() -> int:
    """Exit status 1 where a stage is stale."""
    status = json.loads(_dvc("status", "--json"))
    lock = yaml.load(Path("dvc.lock").read_text(encoding="utf-8"), Loader)

    # The lock also keeps what was written of runs that params.yaml no longer lists.
    stages = set(_dvc("stage", "list", "--name-only").split())
    found = stale(status, {name: written for name, written in lock["stages"].items() if name in stages})

    for stage, reasons in found.items():
        print(f"{stage} would run again: {', '.join(reasons)}")
    if found:
        print("Type `make repro`, and commit dvc.lock and reports.")
    else:
        print("The committed report is that of this code and these parameters.")
    return int(bool(found))


def _dvc(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
