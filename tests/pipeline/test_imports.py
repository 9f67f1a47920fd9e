"""The house's one rule of order: imports point one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = {"tpsm.model", "baselines.fomm", "baselines.mraa"}
FOUNDATION = ["tpsm.types", "tpsm.errors"]
# What a module may import of the project, itself apart. A name that ends in a dot stands for all below it.
ALLOWED = {
    "tpsm.precision": [],
    "tpsm.geometry": [*FOUNDATION, "tpsm.precision"],
    "tpsm.blocks": [*FOUNDATION, "tpsm.geometry", "tpsm.precision"],
    "tpsm.backbones": [*FOUNDATION, "tpsm.blocks", "tpsm.files", "tpsm.torch_file", "tpsm.weights"],
    "tpsm.draws": [],
    "tpsm.random_tps": [*FOUNDATION, "tpsm.precision", "tpsm.draws", "tpsm.geometry"],
    "tpsm.losses": [
        *FOUNDATION,
        *("tpsm.precision", "tpsm.draws", "tpsm.random_tps", "tpsm.geometry", "tpsm.blocks", "tpsm.backbones"),
    ],
    "tpsm.method": [*FOUNDATION, "tpsm.draws", "tpsm.losses"],
}


def modules(package: str) -> dict[str, Path]:
    paths = (ROOT / package).rglob("*.py")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            assert node.module
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("tpsm", "baselines", "eval")}


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("module", ALLOWED)
def test_foundation_imports_only_what_lies_below_it(module: str) -> None:
    path = ROOT / (module.replace(".", "/") + ".py")
    stray = {name for name in imports(path) if not under(name, *ALLOWED[module], module)}
    assert not stray


def test_tpsm_never_imports_baselines_or_eval() -> None:
    for name, path in modules("tpsm").items():
        assert not {i for i in imports(path) if under(i, "baselines", "eval")}, name


def test_baselines_never_import_tpsm_model() -> None:
    for name, path in modules("baselines").items():
        assert not {i for i in imports(path) if under(i, "tpsm.model", "eval")}, name


def test_eval_knows_no_model() -> None:
    foundation = ("tpsm.types", "tpsm.errors", "tpsm.strict", "tpsm.files", "tpsm.provenance", "tpsm.weights")
    allowed = ("eval", *foundation, "tpsm.config", "tpsm.data", "tpsm.mapping", "tpsm.torch_file", "tpsm.units")
    for name, path in modules("eval").items():
        assert not {i for i in imports(path) if not under(i, *allowed) and i != "tpsm"}, name


def test_the_loop_knows_no_method() -> None:
    for name in ("tpsm/train.py", "tpsm/infer.py"):
        assert not imports(ROOT / name) & MODELS, name
