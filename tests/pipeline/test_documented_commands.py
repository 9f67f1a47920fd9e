"""Every command in README.md and docs is one that the programs take; a test runs it, or here stands what it needs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from eval.cli import app as evaluation
from tpsm.cli.main import app as program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "weights/README.md", *sorted(ROOT.glob("docs/*.md"))]
PROGRAMS: dict[str, Any] = {"tpsm": get_command(program), "python -m eval": get_command(evaluation)}

TESTED = {
    "tpsm animate": "tests/pipeline/test_published.py",
    "tpsm animate-pairs": "tests/pipeline/test_stages.py",
    "tpsm bench-gpu": "tests/profiling/test_bench.py",
    "tpsm check-training": "tests/pipeline/test_check_training.py",
    "tpsm configure": "tests/pipeline/test_contributing.py",
    "tpsm cost": "tests/profiling/test_cost.py",
    "tpsm demo": "tests/show/test_commands.py",
    "tpsm doctor": "tests/show/test_commands.py",
    "tpsm fetch": "tests/sources/test_package_clips.py",
    "tpsm import": "tests/checkpoints/test_released.py",
    "tpsm outside": "tests/core/test_outside.py",
    "tpsm params": "tests/config/test_config.py",
    "tpsm prepare": "tests/pipeline/test_stages.py",
    "tpsm publish": "tests/pipeline/test_published.py",
    "tpsm reconstruct": "tests/pipeline/test_stages.py",
    "tpsm split": "tests/data/test_splits.py",
    "tpsm synthesize": "CONTRIBUTING.md",
    "tpsm train": "tests/pipeline/test_stages.py",
    "tpsm train-all": "tests/pipeline/test_train_all.py",
    "tpsm weights": "tests/downloads/test_weights.py",
    "python -m eval bench": "tests/eval/scoring/test_score.py",
    "python -m eval check": "CONTRIBUTING.md",
    "python -m eval compare": "tests/eval/checks/test_compare.py",
    "python -m eval coverage": "tests/sources/test_coverage.py",
    "python -m eval evaluators": "CONTRIBUTING.md",
    "python -m eval features": "CONTRIBUTING.md",
    "python -m eval fid": "tests/eval/folders/test_fid.py",
    "python -m eval gate": "tests/eval/checks/test_gate.py",
    "python -m eval page": "CONTRIBUTING.md",
    "python -m eval report": "CONTRIBUTING.md",
    "python -m eval score": "CONTRIBUTING.md",
    "python -m eval study": "tests/eval/study/test_study.py",
    "python -m eval verify": "tests/eval/checks/test_verify.py",
    "python -m eval weights": "tests/eval/evaluators/test_evaluator_weights.py",
    "make repro": "tests/jobs/test_repro.py",
    "make rescore": "tests/pipeline/test_reviewers.py",
    "make wheel": "tests/pipeline/test_wheel.py",
    "dvc pull": "tests/pipeline/test_reviewers.py",
    "dvc push": "tests/pipeline/test_reviewers.py",
    "dvc remote": "tests/pipeline/test_reviewers.py",
    "dvc repro": "tests/pipeline/test_reviewers.py",
}
"""The test that runs a command, or the command's function; CONTRIBUTING.md's own are run to the letter."""

NEEDS = {
    "make bench": "a machine that does nothing else; its parts are in tests/profiling",
    "make bench-gpu": "a GPU",
    "make bench-start": "a machine that does nothing else",
    "make check": "the time of all tests: it is they",
    "make docs": "a network, for mkdocs-material",
    "make fresh": "the committed report; the workflow runs it",
    "make gate": "a quarter of an hour; the workflow runs it",
    "make setup": "a network",
    "make test": "the time of all tests: it is they",
    "make torture": "a quarter of an hour; its parts are tests",
    "make train": "hours",
    "make verify": "a finished `make repro`",
    "dvc commit": "a finished training on several machines",
}
"""What a test lacks to run a command."""


def commands(page: Path) -> set[str]:
    """The commands of a page: lines of blocks without a language, and code within a sentence."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [*"\n".join(blocks).replace("\\\n", " ").splitlines(), *inline]
    parts = (part for line in lines for part in re.split(r"&&|;", re.sub(r"(^|\s)#.*", "", line)))
    bare = (re.sub(r"^\s*(?:[A-Z_]+=(?:'[^']*'|\S+)\s+)*(?:\.venv/bin/)?", "", part).strip() for part in parts)
    return {command for command in bare if re.match(r"(tpsm|python -m eval|make|dvc) [a-z]", command)}


EVERY = sorted({(page.name, command) for page in PAGES for command in commands(page)})


def verb(command: str) -> str:
    return " ".join(command.split()[: 4 if command.startswith("python") else 2])


def test_every_command_is_tested_or_says_what_it_needs() -> None:
    assert {verb(command) for _, command in EVERY} == TESTED.keys() | NEEDS.keys()
    assert not TESTED.keys() & NEEDS.keys()
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {command.split()[1] for command in (*TESTED, *NEEDS) if command.startswith("make")} <= set(targets)


@pytest.mark.parametrize("command", TESTED)
def test_the_named_test_knows_the_command(command: str) -> None:
    word = command.split()[-1].replace("-", "[-_]")
    assert re.search(rf"\b{word}", (ROOT / TESTED[command]).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("page", "command"), [one for one in EVERY if not re.match("make|dvc", one[1])])
def test_the_program_takes_the_command_as_it_stands(page: str, command: str) -> None:
    name = next(name for name in PROGRAMS if command.startswith(name))
    found, words = PROGRAMS[name], shlex.split(command.removeprefix(name))
    while getattr(found, "commands", None) and words:
        assert words[0] in found.commands, f"{page}: {command}"
        found, words = found.commands[words[0]], words[1:]
    if words:  # a name alone stands for the command; with options it is one that can be typed
        placeholders = [re.sub(r"^(N|SEED)$", "1", word) for word in words if word != "..."]
        try:
            found.make_context(name, placeholders)
        except Exception as error:
            if type(error).__name__ != "MissingParameter":  # a sentence need not name every option
                raise
