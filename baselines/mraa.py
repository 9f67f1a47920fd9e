"""MRAA: Motion Representations for Articulated Animation (Siarohin et al., CVPR 2021), as its released code has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Ge, Le
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.layers import (
    DenseMotion,
    Generator,
    GeneratorConfig,
    expectation,
    jacobian_head,
    local_motions,
    mean_jacobians,
    spatial_softmax,
    warp_and_mask,
)
from tpsm.core.rng import BatchRng
from tpsm.core.schema import Depth, NotNegative, Positive, Width, checked
from tpsm.core.types import EncodedSource, FramePair, Keypoints, Motion, Prediction
from tpsm.methods.base import Method
from tpsm.nn.blocks import Encoder, Hourglass, HourglassConfig, check_sides, downsample, stride
from tpsm.nn.geometry import coordinate_grid, fix_sign, gaussians, inverse, principal_axes, project, relative_affine
from tpsm.nn.losses import PerceptualLoss, affine_agreement, distance_to_identity, equivariance
from tpsm.nn.precision import full_precision
from tpsm.nn.random_tps import RandomTPS, TransformConfig
from tpsm.nn.state_dict import ReleasedModules
from tpsm.nn.vgg import PerceptualConfig

# Numbers that each kind of background motion has: the first rows of a homogeneous matrix, then its last.
BACKGROUND_NUMBERS = {"zero": 0, "shift": 2, "affine": 6, "perspective": 8}


@checked
@dataclass(frozen=True)
class BackgroundConfig:
    """The kind of motion that the background has ("zero" is none), and the size of the network that predicts it."""

    kind: Literal["zero", "shift", "affine", "perspective"] = "affine"
    width: Width = 32
    max_features: Width = 1024
    num_blocks: Depth = 5


@checked
@dataclass(frozen=True)
class LossWeights:
    """The factors of the losses; `PerceptualConfig.weights` holds those of the perceptual loss."""

    equivariance: NotNegative = 10.0
    affine: NotNegative = 10.0


@checked
@dataclass(frozen=True)
class Config:
    """The defaults are the released vox256 model's; those of other sets have `padding` 0.

    `pca`: axes are a region's principal ones, or else regressed as FOMM's Jacobians are (the paper's ablation).
    `padding` pads the heatmap's convolution (at most 3), `skips` draws warped source features at every resolution.
    `covariance_heatmaps` (the released `use_covar_heatmap`): a region's heatmap in the motion network has the region's
    own covariance, and not one for all.
    """

    num_regions: Width = 10
    pca: bool = True
    padding: Annotated[int, Ge(0), Le(3)] = 3
    temperature: Positive = 0.1
    skips: bool = True
    covariance_heatmaps: bool = True
    detector: HourglassConfig = field(default_factory=lambda: HourglassConfig(width=32))
    dense_motion: HourglassConfig = field(default_factory=HourglassConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    weights: LossWeights = field(default_factory=LossWeights)


class RegionPredictor(nn.Module):
    """Finds regions as heatmaps: their mean, their covariance, and the affine map from their principal axes."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.temperature = config.temperature
        self.predictor = Hourglass(3, config.detector, nn.BatchNorm2d)
        outputs = self.predictor.out_channels[-1]
        self.regions = nn.Conv2d(outputs, config.num_regions, 7, padding=config.padding)
        self.jacobian: nn.Conv2d | None = None
        if not config.pca:
            self.jacobian = jacobian_head(outputs, config.num_regions, config.padding)
        self.down = downsample(3, config.detector.scale_factor)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
        features = self.predictor(self.down(image))[-1]
        heatmaps = spatial_softmax(self.regions(features), self.temperature)
        mean = expectation(heatmaps)
        if self.jacobian is not None:
            affine = mean_jacobians(self.jacobian(features), heatmaps)
            return Keypoints(mean, affine, affine @ affine.mT)
        offset = coordinate_grid(heatmaps.shape[-2], heatmaps.shape[-1], mean) - mean[:, :, None, None, :]
        covariance = torch.einsum("bkhw,bkhwi,bkhwj->bkij", heatmaps, offset, offset)
        return Keypoints(mean, principal_axes(covariance), covariance)


class BackgroundPredictor(nn.Module):
    """Predicts the motion of the background, from driving to source coordinates; it is the identity at first."""

    def __init__(self, config: BackgroundConfig) -> None:
        super().__init__()
        self.kind = config.kind
        size = HourglassConfig(config.width, config.max_features, config.num_blocks, scale_factor=1.0)
        self.encoder = Encoder(6, size, nn.BatchNorm2d)
        numbers = BACKGROUND_NUMBERS[config.kind]
        self.fc = nn.Linear(min(config.max_features, config.width * 2**config.num_blocks), numbers)
        nn.init.zeros_(self.fc.weight)
        identity = torch.zeros(2) if config.kind == "shift" else torch.eye(3, device="cpu").flatten()[:numbers]
        with torch.no_grad():
            self.fc.bias.copy_(identity)

    def forward(self, source: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 3"]:
        numbers = self.fc(self.encoder(torch.cat([source, driving], dim=1))[-1].mean(dim=(2, 3)))
        if self.kind == "shift":
            x, y = numbers.unbind(-1)
            one, zero = torch.ones_like(x), torch.zeros_like(x)
            return torch.stack([one, zero, x, zero, one, y, zero, zero, one], dim=-1).unflatten(-1, (3, 3))
        numbers = F.pad(numbers, (0, 8 - numbers.shape[1]))
        return F.pad(numbers, (0, 1), value=1.0).unflatten(-1, (3, 3))


def region_heatmaps(
    means: Float[Tensor, "b k 2"], covariances: Float[Tensor, "b k 2 2"], grid: Float[Tensor, "h w 2"]
) -> Float[Tensor, "b k h w"]:
    """Returns exp(-d^T Sigma^-1 d / 2) at every pixel, with d its distance from the region's mean."""
    d = grid - means[:, :, None, None, :]
    precision = inverse(covariances)[:, :, None, None]
    x, y = d.unbind(-1)
    form = precision[..., 0, 0] * x * x + precision[..., 1, 1] * y * y
    return torch.exp(-0.5 * (form + (precision[..., 0, 1] + precision[..., 1, 0]) * x * y))


class RegionGenerator(Generator):
    """Draws the source's features where the regions' and the background's motion takes them."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.generator)
        self.skips = config.skips
        self.covariance_heatmaps = config.covariance_heatmaps
        self.pixelwise_flow_predictor = DenseMotion(config.num_regions, config.dense_motion)

    def motion(
        self, image: Float[Tensor, "b 3 h w"], source: Keypoints, driving: Keypoints, background: Tensor | None
    ) -> Motion:
        """Returns the dense motion: a weighted sum of the background's motion and every region's affine motion."""
        assert source.affine is not None and source.covariance is not None
        assert driving.affine is not None and driving.covariance is not None
        small = self.pixelwise_flow_predictor.down(image)
        grid = coordinate_grid(small.shape[-2], small.shape[-1], small)

        # Every region's motion A_s A_d^-1 (z - p_d) + p_s, of which the axes' common sign is arbitrary.
        matrices = fix_sign(relative_affine(source.affine, driving.affine))
        local = local_motions(matrices, driving.xy, source.xy, grid)
        still = grid.expand(local.shape[0], -1, -1, -1) if background is None else project(background, grid)

        # Where the regions are, and what the network makes of it.
        if self.covariance_heatmaps:
            heatmaps = region_heatmaps(driving.xy, driving.covariance, grid)
            heatmaps = heatmaps - region_heatmaps(source.xy, source.covariance, grid)
        else:
            height, width = grid.shape[:2]
            heatmaps = gaussians(driving.xy, height, width) - gaussians(source.xy, height, width)
        candidates = torch.cat([still[:, None], local], dim=1)
        return self.pixelwise_flow_predictor(small, heatmaps, candidates, Model.align_corners)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], features: tuple[Tensor, ...], motion: Motion
    ) -> Float[Tensor, "b 3 h w"]:
        def blend(drawn: Tensor, seen: Tensor) -> Tensor:
            warped, mask = warp_and_mask(seen, motion, Model.align_corners)
            return warped * mask + drawn * (1 - mask)

        warped, mask = warp_and_mask(features[-1], motion, Model.align_corners)
        x = self.bottleneck(warped * mask)
        for block, feature in zip(self.up_blocks, features[:0:-1], strict=True):
            x = block(blend(x, feature) if self.skips else x)
        if not self.skips:
            return torch.sigmoid(self.final(x))
        return blend(torch.sigmoid(self.final(blend(x, features[0]))), image)


class Model(Method):
    """MRAA: regions with their principal axes, a background motion, and a generator with skip connections."""

    align_corners = False
    resize_align_corners: ClassVar[bool] = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.generator = RegionGenerator(config)
        self.region_predictor = RegionPredictor(config)
        self.bg_predictor = None if config.background.kind == "zero" else BackgroundPredictor(config.background)
        self.perceptual = PerceptualLoss(config.perceptual)

    def check_sides(self, image: Float[Tensor, "b 3 h w"]) -> None:
        config = self.config
        divisor = math.lcm(config.detector.divisor, config.dense_motion.divisor, 2**config.generator.num_down_blocks)
        # The 7 x 7 convolution must leave 2 x 2 pixels, and so must every hourglass and encoder at its bottom.
        heatmap = (8 - 2 * config.padding) * stride(config.detector.scale_factor)
        background = 0 if self.bg_predictor is None else 2 ** (config.background.num_blocks + 1)
        smallest = max(heatmap, config.detector.smallest, config.dense_motion.smallest, background)
        check_sides(image, divisor, smallest, "MRAA's hourglasses and background predictor")

    @full_precision
    def keypoints(self, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
        self.check_sides(image)
        return self.region_predictor(image)

    @full_precision
    def background(
        self, source: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 3"] | None:
        return None if self.bg_predictor is None else self.bg_predictor(source, driving)

    def encode(self, source: Float[Tensor, "b 3 h w"]) -> EncodedSource:
        return EncodedSource(source, self.keypoints(source), self.generator.encode(source))

    def render(
        self, code: EncodedSource, driving: Keypoints, background: Float[Tensor, "b 3 3"] | None = None
    ) -> Prediction:
        if code.image.shape[0] != driving.xy.shape[0]:
            code = code.expand(driving.xy.shape[0])
        motion = self.generator.motion(code.image, code.keypoints, driving, background)
        return Prediction(self.generator(code.image, code.features, motion), motion)

    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]:
        transform = RandomTPS.sample(pair.source.shape[0], self.config.transform, "l1", draws)
        return self.training_step(pair, transform)[1]

    def training_step(self, pair: FramePair, transform: RandomTPS) -> tuple[Prediction, dict[str, Tensor]]:
        """Returns the prediction and the weighted losses, by name; `transform` is that of the equivariance losses."""
        weights = self.config.weights
        code = self.encode(pair.source)
        driving = self.keypoints(pair.driving)
        prediction = self.render(code, driving, self.background(pair.source, pair.driving))

        # The paper's losses: reconstruction, and equivariance of regions' means and affine maps.
        losses = {}
        if any(self.config.perceptual.weights):
            losses["perceptual"] = self.perceptual(prediction.image, pair.driving)
        if weights.equivariance or weights.affine:
            transform = transform.to(pair.driving)
            transformed = self.keypoints(transform.image(pair.driving, align_corners=self.align_corners))
            if weights.equivariance:
                losses["equivariance"] = weights.equivariance * equivariance(driving, transformed, transform)
            if weights.affine:
                agreement = fix_sign(affine_agreement(driving, transformed, transform))
                losses["affine"] = weights.affine * distance_to_identity(agreement)
        return prediction, losses

    def load_released(self, modules: ReleasedModules) -> None:
        modules.load(self.generator, "generator")
        modules.load(self.region_predictor, "region_predictor")
        if self.bg_predictor is not None:
            hint = "set model.background: {kind: zero} in its run if it was trained without one."
            modules.load(self.bg_predictor, "bg_predictor", hint=hint)
        modules.refuse_others(dict(self.named_children()))
