"""Shapes and types of every public function are checked while the tests run (and only then)."""

import torch
from jaxtyping import install_import_hook

install_import_hook(["tpsm", "baselines", "eval"], "beartype.beartype")
torch.set_num_threads(2)
