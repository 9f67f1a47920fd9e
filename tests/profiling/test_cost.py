"""What is known of a run's cost beforehand, against closed forms, the published counts, and real tensors."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from small_methods import CONFIGS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from tpsm.config.params import read_params, resolve_run
from tpsm.config.sections import RunConfig
from tpsm.core.errors import UserError
from tpsm.core.rng import BatchRng
from tpsm.core.types import FramePair
from tpsm.data.manifest import Manifest
from tpsm.methods import method_module
from tpsm.nn.blocks import AntiAlias, UpBlock
from tpsm.profiling.cost import LOSSES, Items, count_avd, count_work, in_all, predict_memory, total, training_items
from tpsm.profiling.cost_report import batches, duration, measured_page, memory_page, pages
from tpsm.profiling.flops import FlopCounter, gpu_autocast, imagined_gpu, saved_bytes
from tpsm.profiling.timing import Timing, untrained
from tpsm.stages.summary import count_frame
from tpsm.training.config import TrainConfig

ROOT = Path(__file__).parents[2]
# Parameters, and GFLOP for a frame and the features of its source, as measured of the released code at 256 x 256.
PUBLISHED = {
    "tps": {
        "kp_detector": (11_227_812, 4.74),
        "bg_predictor": (11_188_998, 5.05),
        "dense_motion_network": (37_941_397, 15.66),
        "inpainting_network": (24_737_283, 253.72),
    },
    "fomm": {"kp_detector": (14_215_368, 2.62), "generator": (45_575_391, 107.35)},
    "mraa": {
        "region_predictor": (14_146_728, 2.18),
        "bg_predictor": (6_282_438, 10.12),
        "generator": (45_575_391, 107.35),
    },
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small lose more to the threads' meeting than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(name: str, size: int = 32, **train: int) -> RunConfig:
    return RunConfig("toys", name, name, size, CONFIGS[name], TrainConfig(**train))


def pair(batch: int, size: int = 32, device: str = "cpu") -> FramePair:
    return FramePair(*(torch.rand(batch, 3, size, size, device=device) for _ in range(2)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_full_models_cost_what_was_published(name: str) -> None:
    work = count_work(RunConfig("vox", name, name, 256, method_module(name).Config(), TrainConfig()))
    for part, (parameters, gigaflops) in PUBLISHED[name].items():
        once = work[part]
        assert once.parameters == parameters
        # The frame's keypoints are the driving picture's; a source has its own, and features.
        frame = once.frame.published + (0 if part in ("kp_detector", "region_predictor") else once.source.published)
        assert frame / 1e9 == pytest.approx(gigaflops, rel=0.01), part
        assert once.frame.computed <= once.frame.published
    everything = in_all(work)
    if name == "tps":
        assert everything.forward.published / 1e9 == pytest.approx(450.5, rel=0.01)
        assert everything.step.published / 1e9 == pytest.approx(1097.6, rel=0.01)


def plain_up(self: UpBlock, x: Tensor) -> Tensor:
    return F.relu(self.norm(self.conv(F.interpolate(x, scale_factor=2))), inplace=True)


def plain_anti_alias(self: AntiAlias, x: Tensor) -> Tensor:
    blurred = F.conv2d(x, self.weight, padding=self.padding, groups=x.shape[1])
    return blurred[:, :, :: self.stride, :: self.stride]


@pytest.mark.parametrize("name", CONFIGS)
def test_as_published_is_what_the_plain_layers_compute(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = count_work(config(name))
    monkeypatch.setattr(UpBlock, "forward", plain_up)
    monkeypatch.setattr(AntiAlias, "forward", plain_anti_alias)
    plain = count_work(config(name))
    for part in ours.keys() - {LOSSES}:  # the pyramid's blur is not within the model
        for column in ("source", "frame", "forward", "backward"):
            published, computed = getattr(ours[part], column).published, getattr(plain[part], column).computed
            assert published == pytest.approx(computed, rel=1e-12), (part, column)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_operation_of_a_real_step_is_counted_once_and_has_an_owner(name: str) -> None:
    method, _ = untrained(name, CONFIGS[name])
    with FlopCounterMode(display=False) as real:
        total(method.train().losses(pair(2), 99, BatchRng(0))).backward()
    work = count_work(config(name))
    assert in_all(work).step.computed == pytest.approx(real.get_total_flops() / 2, rel=1e-3)
    assert work[LOSSES].step.computed < 0.03 * in_all(work).step.computed
    assert sum(part.parameters for part in work.values()) == sum(p.numel() for p in method.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_frames_work_is_what_the_whole_count_says(name: str) -> None:
    run = config(name)
    method = method_module(name).Model(run.model).eval()
    assert count_frame(method, run.size) == in_all(count_work(run)).frame.computed


def test_a_convolution_has_closed_forms() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1))
    with FlopCounter(layer) as counter:
        out = layer(torch.rand(2, 3, 16, 16, requires_grad=True))
        assert counter.flops["0"].computed == 2 * 2 * 8 * 16 * 16 * 3 * 9
        counter.flops.clear()
        counter.backward(out.sum())
    assert counter.flops["0"].computed == 2 * (2 * 2 * 8 * 16 * 16 * 3 * 9)  # for the picture, and for the weights
    assert not layer[0]._forward_hooks and not layer[0]._forward_pre_hooks


@pytest.mark.parametrize("name", CONFIGS)
def test_predicted_activations_are_those_that_a_real_step_keeps(name: str) -> None:
    method, _ = untrained(name, CONFIGS[name])
    method.train()
    memory = predict_memory(config(name), "fp32")
    apart = [*method.parameters(), *method.buffers()]
    for batch in (2, 5):
        images = pair(batch)
        kept = saved_bytes(lambda images=images: method.losses(images, 99, BatchRng(0)), apart)  # type: ignore[misc]
        assert memory.activations(batch) == pytest.approx(kept, rel=0.02)
    weights = sum(p.numel() * 4 for p in method.parameters())
    assert (memory.gradients, memory.adam) == (weights, 2 * weights)
    assert memory.weights == sum(t.numel() * t.element_size() for t in apart)
    assert memory.total(5) == memory.weights + 3 * weights + memory.activations(5)


def test_bf16_keeps_half_of_a_network_of_convolutions() -> None:
    def kept(half: bool) -> int:
        with imagined_gpu():
            net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
            image = torch.rand(2, 3, 16, 16)

            def run() -> Tensor:
                if not half:
                    return net(image)
                with gpu_autocast():
                    return net(image)

            return saved_bytes(run, chain(net.parameters()))

    pixels, weights = 2 * 16 * 16, 3 * 8 * 9 + 8 * 4
    assert kept(False) == 4 * pixels * (3 + 8)  # what each convolution sees; ReLU keeps its result, which is that
    assert kept(True) == 2 * pixels * (3 + 8) + 2 * weights  # and its weights in bf16, which fp32 need not copy
    assert not torch.is_autocast_enabled("cuda")


@pytest.mark.parametrize("name", CONFIGS)
def test_an_imagined_gpu_keeps_what_the_meta_device_does(name: str) -> None:
    with imagined_gpu():
        method, _ = untrained(name, CONFIGS[name])
        method.train()
        images = FramePair(torch.empty(2, 3, 32, 32), torch.empty(2, 3, 32, 32))
        apart = [*method.parameters(), *method.buffers()]
        kept = saved_bytes(lambda: method.losses(images, 99, BatchRng(0)), apart)
    assert kept == pytest.approx(predict_memory(config(name), "fp32").activations(2), rel=1e-3)


def test_the_number_of_items_is_given_or_prepared_or_published(tmp_path: Path) -> None:
    assert training_items("vox", True, None, tmp_path) == Items(424, "identities of the published set")
    assert training_items("mgif", False, None, tmp_path).count == 900
    assert training_items("vox", True, 7, tmp_path) == Items(7, "identities, as given")
    with pytest.raises(UserError, match="'faces' is not prepared: say with --items how many training clips"):
        training_items("faces", False, None, tmp_path)
    Manifest("vox", 256, ()).write(tmp_path / "vox")
    assert training_items("vox", True, None, tmp_path).count == 0


@pytest.mark.parametrize(("dataset", "steps"), [("vox", 1135), ("taichi", 1350)])
def test_an_epoch_has_the_steps_of_the_released_schedule(dataset: str, steps: int) -> None:
    run, _ = resolve_run(read_params(ROOT / "params.yaml"), dataset, "tps")
    items = training_items(dataset, True, None, Path("nowhere"))
    assert items.steps(run.train) == 100 * steps


def test_avd_costs_the_keypoints_of_two_pictures_and_little_more() -> None:
    run, avd = resolve_run(read_params(ROOT / "params.yaml"), "puppets", "tps")
    keypoints = count_work(run)["kp_detector"].frame.computed
    assert 2 * keypoints < count_avd(run, avd) < 2.2 * keypoints


def test_the_page_reads_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = read_params(Path("params.yaml"))
    train = resolve_run(params, "puppets", "tps")[0].train
    steps = train.epochs * (44 * train.repeats // train.batch)
    text = "\n".join(pages(params, "puppets", "tps", tflops=0.001, items=44))
    assert "tps on puppets: 64 x 64, batches of 8" in text
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert {"kp_detector", "inpainting_network", "in all", "as published", "1", "2", "4", "8"} <= rows.keys()
    assert f"{steps:,}" in rows["training"] and rows["AVD"].rstrip().endswith(("s", "min"))
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "pairs activations in all in bf16 in all" in [" ".join(line.split()) for line in text.splitlines()]


def test_a_pytorch_without_gpus_says_nothing_of_bf16() -> None:
    single = predict_memory(config("fomm"), "fp32")
    titles, _, *rows = [line.split() for line in memory_page({"fp32": single}, 2).splitlines()[-4:]]
    assert titles == ["pairs", "activations", "in", "all"]
    assert rows[1][:3] == ["2", f"{single.activations(2) / 1e6:.0f}", "MB"]


def test_what_was_measured_stands_beside_what_was_predicted() -> None:
    text = measured_page(Timing(9.0, 0.5, 2_100_000_000), "fp32", 3, 2, 50e9, 2_000_000_000, 7200.0)
    assert [line.split() for line in text.splitlines()[-5:]] == [
        ["seconds", "per", "step", "0.5"],
        ["pairs", "per", "second", "4"],
        ["GFLOP/s", "100"],
        ["training,", "all", "of", "it", "2.0", "h"],
        ["memory", "2.10", "GB", "2.00", "GB"],
    ]
    assert batches(28) == [1, 2, 4, 8, 16, 28]
    assert batches(1) == [1]
    assert [duration(s) for s in (3.0, 200.0, 10_000.0, 1e6)] == ["3 s", "3.3 min", "2.8 h", "11.6 days"]
