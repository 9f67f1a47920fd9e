"""Which file of the project imports which, as the source says it: at the top, in functions, under TYPE_CHECKING."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = ("tpsm", "baselines", "eval")
REGISTRY = "tpsm/methods/__init__.py"
"""Names the methods' modules as strings, those of an upper room too; nothing else may."""


def files() -> list[str]:
    """Every Python file of the project, relative to its root."""
    found = (path for program in PROGRAMS for path in (ROOT / program).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def file_of(module: str) -> str | None:
    """The file of a module of the project; None where `module` is no such."""
    stem = module.replace(".", "/")
    return next((file for file in (f"{stem}.py", f"{stem}/__init__.py") if (ROOT / file).is_file()), None)


@cache
def imports(file: str) -> frozenset[str]:
    """The project's files that `file` imports, by a statement or by a string that it may give to `import_module`."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    by_name = "import_module" in ast.dump(tree) and file != REGISTRY
    modules: set[str | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide where things come from"
            assert node.module
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            modules |= {name if file_of(name) else node.module for name in names}
        elif by_name and isinstance(node, ast.Constant) and isinstance(node.value, str):
            modules.add(node.value)
    ours = {module for module in modules if module and module.split(".")[0] in PROGRAMS}
    return frozenset(found for module in ours if (found := file_of(module)) and found != file)


def reached(*start: str) -> set[str]:
    """`start`, and the files that they import at any depth."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += imports(file)
    return found
