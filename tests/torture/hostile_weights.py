"""Checkpoints: of this project, of the released programs, and what calls itself one."""

from __future__ import annotations

import io
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hostile import Case
from subject import STAGES, TPS

LAST, RELEASED = "models/drawn/tps/last.pt", "released.pth"
IMPORT = ("tpsm", "import", RELEASED, *TPS)
Change = Callable[[dict[str, Any]], object]


class Runs:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch code-has-run",)


class Evaluates:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("open('code-has-run', 'w')",)


def weights(base: Path, rng: random.Random) -> Iterator[Case]:
    for what, change in {**_configurations(), **_tensors()}.items():
        yield Case(f"checkpoint with {what}", STAGES["reconstruct"], partial(_altered, change))
    for what, content in _others(base, rng).items():
        yield Case(f"{what} as a checkpoint", STAGES["reconstruct"], partial(_put, LAST, content))
        yield Case(f"{what} as a released checkpoint", IMPORT, partial(_put, RELEASED, content))
        network = "evaluators/drawn/networks/landmarks.pt"
        yield Case(f"{what} as an evaluator", STAGES["features"], partial(_put, network, content))


def _configurations() -> dict[str, Change]:
    def motion(**values: Any) -> Change:
        return lambda content: content["model_config"]["dense_motion"].update(values)

    def top(**values: Any) -> Change:
        return lambda content: content.update(values)

    def model(**values: Any) -> Change:
        return lambda content: content["model_config"].update(values)

    return {
        "a method that is a list": top(method=["tps"]),
        "a method that is none": top(method="../../os"),
        "a method that is a module": top(method="os"),
        "the size 0": top(size=0),
        "a negative size": top(size=-64),
        "the size a million": top(size=1_000_000),
        "a size of 5,000 digits": top(size=10**5000),
        "a size that is a text": top(size="64"),
        "a size that is NaN": top(size=float("nan")),
        "epoch -1": top(epoch=-1),
        "a step that is a list": top(step=[1]),
        "a fit that is none": top(fit="squeeze"),
        "weights that are a list": top(weights=[]),
        "weights that are none": top(weights=None),
        "weights by number": lambda content: content["weights"].update({7: next(iter(content["weights"].values()))}),
        "another format": top(format=2),
        "a key too many": top(evil=1),
        "no method": lambda content: content.pop("method"),
        "a configuration that is a list": top(model_config=[1]),
        "a billion keypoints": model(num_tps=1_000_000_000),
        "no keypoints": model(num_tps=0),
        "keypoints -1": model(num_tps=-1),
        "an encoder as wide as memory": model(encoder_width=1 << 40),
        "a key that no model knows": model(evil=1),
        "a width that is a text": model(encoder_width="__import__('os')"),
        "a model's section that is a list": model(dense_motion=[1, 2]),
        "a thousand blocks": motion(num_blocks=1000),
        "a scale that is zero": motion(scale_factor=0),
        "a scale that is NaN": lambda content: content["model_config"]["dense_motion"].update(
            scale_factor=float("nan")
        ),
    }


def _tensors() -> dict[str, Change]:
    """`change` of the first matrix among the weights."""

    def first(make: Callable[[Any], Any]) -> Change:
        def change(content: dict[str, Any]) -> None:
            name = next(name for name, value in content["weights"].items() if value.dim() > 1)
            content["weights"][name] = make(content["weights"][name])

        return change

    def fill(value: float) -> Change:
        return first(lambda tensor: tensor.clone().fill_(value))

    import torch

    return {
        "a weight NaN": fill(float("nan")),
        "a weight infinite": fill(float("inf")),
        "complex weights": first(lambda tensor: tensor.to(torch.complex64)),
        "sparse weights": first(lambda tensor: tensor.to_sparse()),
        "meta weights": first(lambda tensor: tensor.to("meta")),
        "weights of booleans": first(lambda tensor: tensor > 0),
        "weights of one value repeated": first(lambda tensor: torch.zeros(1).expand(1 << 12, 1 << 12)),
        "a weight transposed": first(lambda tensor: tensor.transpose(0, 1).contiguous()[:, :1]),
        "an empty weight": first(lambda tensor: tensor[:0]),
        "a weight that is a number": first(lambda tensor: 1.0),
        "a weight that is a text": first(lambda tensor: "0.5"),
        "quantised weights": first(lambda tensor: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8)),
        "a weight too few": lambda content: content["weights"].popitem(),
        "a weight too many": lambda content: content["weights"].update(evil=torch.zeros(2)),
    }


def _others(base: Path, rng: random.Random) -> dict[str, bytes]:
    whole = (base / LAST).read_bytes()
    flipped = bytearray(whole)
    for _ in range(50):
        flipped[rng.randrange(len(flipped) // 2, len(flipped))] ^= 0xFF
    return {
        "a pickle that runs code": pickle.dumps({"weights": Runs()}),
        "an old pickle that runs code": pickle.dumps({"weights": Evaluates()}, protocol=0),
        "a list of numbers": pickle.dumps([1, 2, 3]),
        "an archive that runs code": _archive(Runs()),
        "an archive of garbage": _zip({"archive/data.pkl": rng.randbytes(1000), "archive/version": b"3"}),
        "an archive that unpacks to a gigabyte": _zip({"archive/data.pkl": bytes(1 << 30)}, zipfile.ZIP_DEFLATED),
        "an archive that leads elsewhere": _zip({"../../evil": b"x", "archive/data.pkl": b"x"}),
        "a file cut in half": whole[: len(whole) // 2],
        "a file without its end": whole[:-30],
        "flipped bytes": bytes(flipped),
        "safetensors of a giant header": (1 << 62).to_bytes(8, "little") + b"{}",
        "safetensors of no JSON": (8).to_bytes(8, "little") + b"{garbage",
        "safetensors beyond their end": _safetensors("[1000000]", 4_000_000),
        "safetensors of a negative shape": _safetensors("[-1]", 4),
        "a web page": b"<!DOCTYPE html><html><body>sign in</body></html>",
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "a gzip": b"\x1f\x8b\x08" + bytes(100),
        "a tar": bytes(257) + b"ustar" + bytes(1000),
        "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    }


def _archive(content: Any) -> bytes:
    return _zip({"archive/data.pkl": pickle.dumps(content, protocol=2), "archive/version": b"3\n"})


def _zip(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def _safetensors(shape: str, end: int) -> bytes:
    header = f'{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}'
    return len(header).to_bytes(8, "little") + header.encode() + bytes(4)


def _put(place: str, content: bytes, folder: Path) -> None:
    (folder / place).write_bytes(content)


def _altered(change: Change, folder: Path) -> None:
    import torch

    content = torch.load(folder / LAST, weights_only=True)
    change(content)
    torch.save(content, folder / LAST)
