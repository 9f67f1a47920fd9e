"""The one loader of state dicts takes what fits in every entry, and refuses the rest by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tpsm.core.errors import UserError
from tpsm.core.tensors import read_state_dict
from tpsm.nn.state_dict import ReleasedModules, build_strictly, length_of, load_strictly

ROOT = Path(__file__).parents[2]
FILE = Path("some.pt")
Entries = dict[str, Tensor]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def trained() -> Entries:
    return {
        key: torch.rand_like(value) if value.is_floating_point() else value + 7
        for key, value in network().state_dict().items()
    }


@pytest.mark.parametrize("meta", [True, False])
def test_every_entry_is_taken_and_a_module_on_meta_takes_the_tensors_themselves(meta: bool) -> None:
    with torch.device("meta" if meta else "cpu"):
        module = network()
    entries = trained()
    load_strictly(module, entries, FILE)
    for key, value in module.state_dict().items():
        assert torch.equal(value, entries[key])
        assert (value.data_ptr() == entries[key].data_ptr()) == meta


def test_other_precisions_become_the_modules_own() -> None:
    module, entries = network(), trained()
    load_strictly(module, {key: value.half() for key, value in entries.items()}, FILE)
    assert torch.equal(module[0].weight, entries["0.weight"].half().float())
    assert module[1].num_batches_tracked.dtype == torch.int64


def test_counters_that_old_files_lack_begin_at_zero() -> None:
    module, entries = network(), trained()
    del entries["1.num_batches_tracked"]
    load_strictly(module, entries, FILE)
    assert module[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda e: e.pop("0.bias"), "no entry net.0.bias"),
        (lambda e: e.update({"2.bias": e.pop("0.bias")}), r"no entry net.0.bias \(but net.2.bias"),
        (lambda e: e.update({"2.bias": torch.zeros(4)}), "the entry net.2.bias, for which"),
        (lambda e: e.update({"0.bias": torch.zeros(5)}), r"net.0.bias is of shape \(5,\).*\(4,\)"),
        (lambda e: e.update({"0.bias": torch.full((4,), torch.inf)}), "net.0.bias holds values that are not finite"),
        (lambda e: e.update({"0.bias": torch.zeros(4, dtype=torch.complex64)}), "net.0.bias is complex"),
        (lambda e: e.update({"0.bias": torch.zeros(4).to_sparse()}), "net.0.bias is sparse"),
        (lambda e: e.update({"0.bias": torch.zeros(4, device="meta")}), "net.0.bias has a shape but no values"),
        (lambda e: e.update({"0.bias": torch.zeros(1).expand(4)}), "net.0.bias declares more values"),
        (lambda e: e.update({"0.bias": torch.zeros(4, dtype=torch.int64)}), "net.0.bias is of type torch.int64"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(change: Callable[[Entries], object], says: str) -> None:
    module, entries = network(), trained()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    change(entries)
    with pytest.raises(UserError, match=rf"some\.pt.*{says}") as caught:
        load_strictly(module, entries, FILE, "net")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_claim_that_no_weights_bear_out_takes_no_memory() -> None:
    claimed = torch.zeros(1 << 40, 0)
    size = length_of({"head.weight": claimed}, "head.weight", FILE)
    with pytest.raises(UserError, match=r"some\.pt.*no entry bias"):
        build_strictly(lambda: nn.Linear(1 << 20, size), {"weight": claimed}, FILE)
    with pytest.raises(UserError, match=r"some\.pt has no entry head\.weight with a length"):
        length_of({"head.weight": torch.tensor(3.0)}, "head.weight", FILE)


def test_modules_of_a_released_file_are_named() -> None:
    modules = ReleasedModules(FILE, {"net": trained(), "empty": {}, "other": trained()})
    modules.load(network(), "net")
    with pytest.raises(UserError, match=r"some\.pt has no module 'head', only empty, net, other; look elsewhere"):
        modules.load(network(), "head", hint="look elsewhere")
    with pytest.raises(UserError, match="module 'empty' is empty"):
        modules.check(network(), "empty")
    with pytest.raises(UserError, match=r"some\.pt: .*no place for the module 'other'"):
        modules.refuse_others({"net"})


def test_a_state_dict_is_found_in_what_training_programs_write(tmp_path: Path) -> None:
    entries, path = trained(), tmp_path / "file.pt"
    for content in (entries, {"state_dict": {f"module.{key}": value for key, value in entries.items()}, "epoch": 3}):
        torch.save(content, path)
        found = read_state_dict(path)
        assert found.keys() == entries.keys() and all(torch.equal(found[key], entries[key]) for key in entries)
    for content in (entries | {"epoch": 3}, [entries], 3):
        torch.save(content, path)
        with pytest.raises(UserError, match=r"file\.pt holds no tensors by name; save the network's state dict"):
            read_state_dict(path)


def test_nothing_else_reads_files_of_tensors_or_fills_modules() -> None:
    """Training alone puts back the state of its optimiser, which is no module."""
    files = [path for program in ("tpsm", "eval", "baselines") for path in (ROOT / program).rglob("*.py")]
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}
    where = {call: {file for file, text in sources.items() if call in text} for call in ("torch.load(", "load_file(")}
    assert where == {"torch.load(": {"tpsm/core/tensors.py"}, "load_file(": {"tpsm/core/tensors.py"}}
    filling = {file: text.replace("adam.load_state_dict(", "") for file, text in sources.items()}
    assert {file for file, text in filling.items() if ".load_state_dict(" in text} == {"tpsm/nn/state_dict.py"}
