"""The house's one rule of order: imports point down. The two tables say which room may import which."""

from __future__ import annotations

from collections import Counter

import pytest
from imports import PROGRAMS, ROOT, files, imports, reached

LARGEST = 15
"""Python files in a folder."""

LARGER = {"eval/metrics": 20}
"""Every metric is a file there, and no file there is anything else."""

TPSM = {
    "core": "",
    "nn": "core",
    "jobs": "core",
    "downloads": "core",
    "data": "core jobs",
    "published": "core data",
    "methods": "core nn",
    "checkpoints": "core nn methods",
    "sources": "core downloads data",
    "training": "core jobs nn checkpoints",
    "inference": "core jobs data nn methods checkpoints",
    "config": "core jobs data published methods checkpoints training inference",
}
TPSM["show"] = " ".join(TPSM)
for room in ("profiling", "stages", "speed", "cli", "__main__.py"):
    TPSM[room] = " ".join(TPSM)
TPSM["speed"] += " eval/types.py eval/stages eval/evaluators"  # which it times
TPSM["cli"] += " eval/config.py eval/weights.py eval/evaluators"  # which evaluators are here, and one of them

STRICT = "tpsm/nn/state_dict.py"
"""The one loader of state dicts, which knows no network."""

BELOW = f"tpsm/core tpsm/jobs tpsm/data tpsm/published tpsm/downloads tpsm/sources {STRICT}"
"""What eval may import of tpsm: nothing there loads a method."""

EVAL = {
    "types.py": "tpsm/core",
    "weights.py": "tpsm/core tpsm/downloads",
    "templates.py": "",
    "stats": "tpsm/core/schema.py",
    "metrics": f"types.py weights.py tpsm/core {STRICT}",
    "config.py": "types.py metrics stats tpsm/core",
    "evaluators": f"types.py weights.py config.py tpsm/core tpsm/data tpsm/published {STRICT}",
    "scoring": "types.py config.py metrics evaluators tpsm/core tpsm/data",
    "tables": "templates.py types.py config.py stats metrics scoring tpsm/core tpsm/data",
    "report": "templates.py types.py config.py stats metrics scoring tables tpsm/core tpsm/data",
    "figures": "types.py config.py metrics evaluators scoring tables report tpsm/core tpsm/data",
    "web": "config.py scoring tables report tpsm/core tpsm/data",
    "folders": "types.py weights.py config.py stats metrics evaluators scoring tables tpsm/core tpsm/data",
    "study": "templates.py stats tables scoring eval/web/strips.py tpsm/core tpsm/data",
    "checks": "metrics stats scoring tables report tpsm/core",
}
EVAL["stages"] = f"{' '.join(EVAL)} tpsm/core tpsm/jobs tpsm/data tpsm/published tpsm/sources"
EVAL["cli.py"] = f"{' '.join(EVAL)} {BELOW}"
EVAL["__main__.py"] = f"{' '.join(EVAL)} {BELOW}"


def full(program: str, names: str) -> set[str]:
    return {name if "/" in name else f"{program}/{name}" for name in names.split()}


ROOMS = {
    **{f"tpsm/{room}": full("tpsm", below) for room, below in TPSM.items()},
    "baselines": {"tpsm/core", "tpsm/nn", "tpsm/methods/base.py"},
    **{f"eval/{room}": full("eval", below) for room, below in EVAL.items()},
}


def room_of(file: str) -> str:
    """The folder below its program, or the file itself where it stands there alone."""
    return "baselines" if file.startswith("baselines/") else "/".join(file.split("/")[:2])


def test_every_file_has_a_room() -> None:
    titles = {f"{program}/__init__.py" for program in PROGRAMS}
    assert {room_of(file) for file in files() if file not in titles} == set(ROOMS)
    assert all(not imports(title) for title in titles)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_row_allows(room: str) -> None:
    allowed = ROOMS[room] | {room}
    stray = {
        f"{file} imports {other}"
        for file in files()
        if room_of(file) == room
        for other in imports(file)
        if not {room_of(other), other} & allowed
    }
    assert not stray


def test_eval_reaches_no_model_at_any_depth() -> None:
    ours = [file for file in files() if file.startswith("eval/")]
    below = set(BELOW.split())
    assert not {file for file in reached(*ours) if not file.startswith("eval/") and not {room_of(file), file} & below}


def test_no_baseline_reaches_another_method() -> None:
    methods = {"tpsm/methods/tps.py", "baselines/fomm.py", "baselines/mraa.py"}
    for method in methods:
        assert reached(method) & methods == {method}


def test_training_and_inference_know_no_method() -> None:
    for room in ("tpsm/training", "tpsm/inference"):
        found = reached(*(file for file in files() if room_of(file) == room))
        assert not {file for file in found if file.startswith("baselines/") or file == "tpsm/methods/tps.py"}


def test_there_is_no_circle_of_files() -> None:
    circles = {file for file in files() if file in reached(*imports(file))}
    assert not circles


def test_no_two_rooms_import_each_other() -> None:
    pairs = {(room_of(file), room_of(other)) for file in files() for other in imports(file)}
    mutual = {pair for pair in pairs if pair[0] != pair[1] and pair[::-1] in pairs}
    assert not mutual


def test_no_room_is_crowded() -> None:
    crowds = Counter((ROOT / file).parent.relative_to(ROOT).as_posix() for file in files())
    assert not {room: count for room, count in crowds.items() if count > LARGER.get(room, LARGEST)}
