"""The configurations of the papers' data sets, against what the papers' released code trains with."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from baselines import fomm, mraa
from baselines.discriminator import DiscriminatorConfig
from baselines.layers import GeneratorConfig
from eval.stages import check as evaluation
from eval.stages.check import check
from tpsm.checkpoints.checkpoint import load_checkpoint, load_method
from tpsm.config.params import data_section, merge, read_params, resolve_run
from tpsm.core.errors import UserError
from tpsm.core.reading import read_yaml
from tpsm.core.schema import as_yaml, plain
from tpsm.data.config import AugmentConfig, DataConfig
from tpsm.data.pairs import PairBatches
from tpsm.data.prepare import prepare
from tpsm.methods import METHODS, method_module
from tpsm.methods.avd import AVD, AvdTraining
from tpsm.methods.avd_config import AvdConfig
from tpsm.methods.base import Method
from tpsm.methods.inpainting import InpaintingConfig
from tpsm.methods.tps import Config, DropoutConfig, LossWeights
from tpsm.nn.blocks import HourglassConfig
from tpsm.nn.random_tps import TransformConfig
from tpsm.nn.vgg import PerceptualConfig
from tpsm.sources.puppets.generate import synthesize
from tpsm.stages import configure as configuring
from tpsm.stages.configure import check_model, configure
from tpsm.training.config import TrainConfig
from tpsm.training.loop import RunInfo, fit

ROOT = Path(__file__).parents[2]
PARAMS = read_params(ROOT / "params.yaml")
SETS = ("vox", "taichi", "ted", "mgif")

JITTER = {"brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1, "resize": 0.0}
HUE_ALONE = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.5, "resize": 0.1}
DATA = {  # side, one identity a time, colours and size
    "vox": (256, True, JITTER),
    "taichi": (256, True, JITTER),
    "ted": (384, True, JITTER),
    "mgif": (256, False, HUE_ALONE),
}
SCHEDULES = {  # repeats, batch, workers, milestones; 100 epochs all
    ("vox", "tps"): (75, 28, 12, (70, 90)),
    ("taichi", "tps"): (150, 28, 12, (70, 90)),
    ("ted", "tps"): (150, 12, 6, (70, 90)),
    ("mgif", "tps"): (50, 28, 12, (70, 90)),
    ("vox", "fomm"): (75, 40, 6, (60, 90)),
    ("taichi", "fomm"): (150, 30, 6, (60, 90)),
    ("ted", "fomm"): (150, 12, 6, (60, 90)),  # never released: TaiChiHD's with TPSMM's batch
    ("mgif", "fomm"): (25, 36, 6, (60, 90)),
    ("vox", "mraa"): (75, 14, 6, (60, 90)),
    ("taichi", "mraa"): (150, 14, 6, (60, 90)),
    ("ted", "mraa"): (150, 6, 6, (60, 90)),
    ("mgif", "mraa"): (50, 14, 6, (60, 90)),
}
AVD_SCHEDULES = {  # epochs, repeats, milestones
    ("vox", "tps"): (200, 300, (140, 180)),
    ("taichi", "tps"): (100, 150, (70, 90)),
    ("ted", "tps"): (30, 500, (20, 25)),
    ("mgif", "tps"): (100, 50, (70, 90)),
    ("vox", "mraa"): (30, 2000, (20, 25)),
    ("taichi", "mraa"): (30, 150, (20, 25)),
    ("ted", "mraa"): (30, 150, (20, 25)),
    ("mgif", "mraa"): (30, 50, (60, 90)),
}
TPS = {  # background, the epoch from which on, and the dropout of splines
    "vox": (True, 10, DropoutConfig(0.1, 0.3, 10, 35)),
    "taichi": (True, 0, DropoutConfig(0.0, 0.7, 10, 35)),
    "ted": (True, 0, DropoutConfig(0.0, 0.5, 10, 35)),
    "mgif": (False, 10, DropoutConfig(0.2, 0.5, 10, 35)),  # without a background its epoch says nothing
}
PERCEPTUAL = PerceptualConfig(
    "vgg19", ".work/weights/vgg19.pth", weights=(10.0, 10.0, 10.0, 10.0, 10.0), scales=(1.0, 0.5, 0.25, 0.125)
)
TRANSFORM = TransformConfig(sigma_affine=0.05, sigma_tps=0.005, points=5)
DETECTOR, DENSE = HourglassConfig(32, 1024, 5, 0.25), HourglassConfig(64, 1024, 5, 0.25)
GENERATOR = GeneratorConfig(64, 512, 2, 6)

EVERY = [(dataset, method) for dataset in SETS for method in METHODS]
WITH_AVD = sorted(AVD_SCHEDULES)


def built(dataset: str, run: str) -> Method:
    """Without memory for its weights."""
    config = resolve_run(PARAMS, dataset, run)[0]
    with torch.device("meta"):
        method: Method = method_module(config.method).Model(config.model)
    return method.eval()


def size_of(module: torch.nn.Module | None) -> int:
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("dataset", SETS)
def test_data(dataset: str) -> None:
    size, identity_sampling, changes = DATA[dataset]
    augment = AugmentConfig(flip_time=True, flip_horizontal=True, **changes)
    section = data_section(PARAMS, dataset)
    assert section.raw == DataConfig(size=size, identity_sampling=identity_sampling, augment=augment)


@pytest.mark.parametrize(("dataset", "method"), EVERY)
def test_schedule(dataset: str, method: str) -> None:
    repeats, batch, workers, milestones = SCHEDULES[dataset, method]
    assert resolve_run(PARAMS, dataset, method)[0].train == TrainConfig(
        epochs=100,
        repeats=repeats,
        batch=batch,
        learning_rate=2e-4,
        betas=(0.5, 0.999),
        weight_decay=1e-4 if method == "tps" else 0.0,
        milestones=milestones,
        clip_norm=10.0 if method == "tps" else None,
        workers=workers,
        checkpoint_every=1000,
        preview_every=5000,
    )


@pytest.mark.parametrize(("dataset", "method"), WITH_AVD)
def test_avd(dataset: str, method: str) -> None:
    epochs, repeats, milestones = AVD_SCHEDULES[dataset, method]
    avd = resolve_run(PARAMS, dataset, method)[1]
    bottle = 128 if method == "tps" else 64
    assert avd.model == AvdConfig(bottle, bottle, widths=(256, 512, 1024), scale=0.25, weight=1.0)
    train = avd.train
    assert (train.epochs, train.repeats, train.milestones) == (epochs, repeats, milestones)
    assert (train.batch, train.learning_rate, train.betas) == (256, 1e-3, (0.5, 0.999))
    assert (train.weight_decay, train.clip_norm, train.checkpoint_every) == (0.0, None, 1000)
    model = built(dataset, method)
    keypoints = model.keypoints(torch.empty(1, 3, 256, 256, device="meta"))
    assert size_of(AVD.like(keypoints, avd.model)) == {"tps": 2_583_652, "mraa": 2_290_620}[method]


@pytest.mark.parametrize("dataset", SETS)
def test_tpsmm(dataset: str) -> None:
    background, start, dropout = TPS[dataset]
    assert resolve_run(PARAMS, dataset, "tps")[0].model == Config(
        num_tps=10,
        encoder_width=64,
        background=background,
        background_start=start,
        multi_mask=True,
        dense_motion=DENSE,
        inpainting=InpaintingConfig(64, 512, 3),
        dropout=dropout,
        transform=TRANSFORM,
        perceptual=PERCEPTUAL,
        weights=LossWeights(equivariance=10.0, warp=10.0, background=10.0),
    )
    model = built(dataset, "tps")
    assert size_of(model) == (85_095_490 if background else 73_906_492)
    assert set(model.clip_grad_modules) == {"kp_detector", "dense_motion_network", "bg_predictor"}


@pytest.mark.parametrize("dataset", SETS)
def test_fomm(dataset: str) -> None:
    mgif = dataset == "mgif"
    assert resolve_run(PARAMS, dataset, "fomm")[0].model == fomm.Config(
        num_keypoints=10,
        jacobian=True,
        single_jacobian=mgif,
        temperature=0.1,
        detector=DETECTOR,
        dense_motion=DENSE,
        generator=GENERATOR,
        discriminator=DiscriminatorConfig(32, 512, 4, spectral_norm=dataset in ("vox", "mgif"), use_keypoints=False),
        transform=TRANSFORM,
        perceptual=PERCEPTUAL,
        weights=fomm.LossWeights(equivariance=10.0, jacobian=10.0, gan=float(mgif), feature_matching=10.0),
    )
    parts = {name: size_of(child) for name, child in built(dataset, "fomm").named_children()}
    assert parts.pop("discriminator", 0) == (2_758_849 if mgif else 0)
    assert parts == {"kp_detector": 14_153_592 if mgif else 14_215_368, "generator": 45_575_391}


@pytest.mark.parametrize("dataset", SETS)
def test_mraa(dataset: str) -> None:
    kind = "zero" if dataset == "mgif" else "affine"
    assert resolve_run(PARAMS, dataset, "mraa")[0].model == mraa.Config(
        num_regions=10,
        pca=True,
        padding=3 if dataset == "vox" else 0,
        temperature=0.1,
        skips=True,
        detector=DETECTOR,
        dense_motion=DENSE,
        generator=GENERATOR,
        background=mraa.BackgroundConfig(kind, 32, 1024, 5),
        transform=TRANSFORM,
        perceptual=PERCEPTUAL,
        weights=mraa.LossWeights(equivariance=10.0, affine=10.0),
    )
    background = 0 if kind == "zero" else 6_282_438
    assert size_of(built(dataset, "mraa")) == 14_146_728 + 45_575_391 + background


@pytest.mark.parametrize("dataset", SETS)
def test_every_run_has_a_model_that_takes_the_sets_pictures(dataset: str) -> None:
    for run in PARAMS.runs + PARAMS.more.runs:
        config = resolve_run(PARAMS, dataset, run)[0]
        check_model(config)
        small = resolve_run(PARAMS, "puppets", run)[0].model
        if run.startswith("tps") or "-k" in run:  # the baselines themselves have another K on puppets
            for name in ("num_tps", "num_keypoints", "num_regions", "multi_mask"):  # what the ablations are of
                assert getattr(config.model, name, None) == getattr(small, name, None)
        if run == "tps-alone":
            assert config.model.dropout is None
            assert (config.model.weights.background, config.model.weights.warp) == (0, 0)


ALL_RUNS = {"more": {"datasets": list(SETS)}, "animate": {"datasets": list(SETS)}}


def test_the_sets_can_be_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuring, "check_model", lambda config: None)  # above, all of them
    monkeypatch.chdir(tmp_path)
    Path("scales").symlink_to(ROOT / "scales")
    values = merge(read_yaml(ROOT / "params.yaml"), {"datasets": list(SETS)} | ALL_RUNS)
    Path("params.yaml").write_text(as_yaml(values))
    for dataset in SETS:
        Path("data/raw", dataset).mkdir(parents=True)
    with pytest.raises(UserError, match=r"'tps' on vox cannot be trained yet.*`tpsm weights vgg19-torchvision`"):
        configure(Path("params.yaml"), Path("configs"))
    Path(PERCEPTUAL.file or "").parent.mkdir(parents=True)
    Path(PERCEPTUAL.file or "").touch()
    configure(Path("params.yaml"), Path("configs"))
    with pytest.raises(UserError, match="python -m eval weights fetch"):
        check(tmp_path)
    wanted: set[str] = set()
    monkeypatch.setattr(evaluation, "locate", lambda name, folder: wanted.add(name))
    assert check(tmp_path) == sorted(SETS)
    assert wanted == {"fan", "s3fd", "dlib-landmarks", "dlib-identity", "rtmpose-s"}


# Below: the real modules, at full size. A step takes half a minute on a slow core.


@pytest.fixture(scope="module")
def vgg19(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision writes it, of random weights that keep the size of what passes through."""
    import torchvision

    with torch.device("meta"):
        shapes = {key: value.shape for key, value in torchvision.models.vgg19().features.state_dict().items()}
    rng = torch.Generator().manual_seed(0)
    state: dict[str, Any] = {}
    for key, shape in shapes.items():
        scale = 0.0 if len(shape) == 1 else (2 / shape[1:].numel()) ** 0.5
        state[f"features.{key}"] = scale * torch.randn(shape, generator=rng)
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A small drawn set, prepared at every size that the papers' sets have."""
    folders = {}
    for size in {size for size, _, _ in DATA.values()}:
        raw, folders[size] = (tmp_path_factory.mktemp(f"{kind}{size}") for kind in ("raw", "clips"))
        synthesize(raw, size=size, train_identities=2, test_identities=1, clips_per_identity=1, frames=3)
        prepare("drawn", raw, DataConfig(size=size), folders[size])
    return folders


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "method"), EVERY)
def test_two_steps_at_full_size(clips: dict[str, Path], vgg19: Path, tmp_path: Path, dataset: str, method: str) -> None:
    """Every configuration trains: only the schedule is cut, to two steps of one pair (of two, for AVD)."""
    config, avd = resolve_run(PARAMS, dataset, method)
    data = data_section(PARAMS, dataset).raw
    model = replace(config.model, perceptual=replace(config.model.perceptual, file=str(vgg19)))
    torch.manual_seed(0)
    task: Method = method_module(method).Model(model)

    def train(task: torch.nn.Module, schedule: TrainConfig, batch: int, name: str, model: Any) -> Path:
        """An epoch of two batches, as the drawn set has two identities, each with one clip."""
        schedule = replace(schedule, epochs=1, repeats=batch, batch=batch, workers=0)
        batches = PairBatches(clips[data.size], data, batch, repeats=batch)
        info = RunInfo(name, method, dataset, data.size, plain(asdict(model)))
        fit(task, batches, schedule, info, tmp_path / name, data_hash="drawn", work=tmp_path / "work")
        curve = pd.read_csv(tmp_path / name / "metrics.csv")
        assert len(curve) == 2 and np.isfinite(curve.total).all()
        return tmp_path / name / "last.pt"

    trained, checkpoint = load_method(train(task, config.train, 1, method, model), method)
    assert checkpoint.step == 2
    assert all(value.isfinite().all() for value in trained.state_dict().values())
    if (dataset, method) in AVD_SCHEDULES:
        keypoints = trained.keypoints(torch.zeros(1, 3, data.size, data.size))
        network = AvdTraining(trained, AVD.like(keypoints, avd.model), avd.model)
        assert load_checkpoint(train(network, avd.train, 2, "avd", avd.model)).step == 2
