"""torchreid's osnet.py alone: importing the package would take ten seconds, OpenCV, TensorBoard and gdown."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from tpsm.core.errors import UserError


@cache
def osnet_module() -> ModuleType:
    """Returns the file as a module. Raises UserError where torchreid is not installed."""
    package = importlib.util.find_spec("torchreid")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder, "reid", "models", "osnet.py")
        spec = importlib.util.spec_from_file_location("_torchreid_osnet", path) if path.is_file() else None
        if spec and spec.loader:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise UserError("An osnet identity evaluator needs torchreid 0.2.5; install the packages of constraints.txt.")
