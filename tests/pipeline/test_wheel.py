"""The wheel holds all that the programs read, and they start from it alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("tpsm", "baselines", "eval")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a clean copy, built without a network."""
    copy = tmp_path_factory.mktemp("copy")
    for source in [*sources(), *(ROOT / name for name in BESIDE)]:
        target = copy / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--wheel-dir", "."]
    subprocess.run([sys.executable, "-m", "pip", *build, str(copy)], cwd=copy, check=True)
    return next(copy.glob("tpsm-*.whl"))


def sources() -> list[Path]:
    """Every file of the programs but what Python leaves there."""
    files = (path for part in PARTS for path in (ROOT / part).rglob("*") if path.is_file())
    return [path for path in files if "__pycache__" not in path.parts]


def test_every_file_of_the_programs_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith(PARTS) and ".dist-info" not in name}
    assert held == {path.relative_to(ROOT).as_posix() for path in sources()}


@pytest.mark.parametrize(
    "command", [["tpsm", "--help"], ["eval", "--help"], ["eval", "weights"], ["tpsm", "weights", "--help"]]
)
def test_the_programs_start_from_it(wheel: Path, tmp_path: Path, command: list[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = f"import sys, runpy; sys.path.insert(0, {str(tmp_path / 'installed')!r}); sys.argv = {command!r}; "
    code += f"import {command[0]}; assert 'installed' in {command[0]}.__file__; "
    code += f"runpy.run_module({command[0]!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout, done.stderr
