"""FOMM: First Order Motion Model for Image Animation (Siarohin et al., NeurIPS 2019), as its released code has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines.discriminator import Discriminator, DiscriminatorConfig, adversarial_losses
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
from tpsm.core.schema import NotNegative, Positive, Width, checked
from tpsm.core.types import EncodedSource, FramePair, Keypoints, Motion, Prediction
from tpsm.methods.base import Method
from tpsm.nn.blocks import Hourglass, HourglassConfig, check_sides, downsample, stride
from tpsm.nn.geometry import coordinate_grid, gaussians, relative_affine
from tpsm.nn.losses import PerceptualLoss, affine_agreement, distance_to_identity, equivariance
from tpsm.nn.precision import full_precision
from tpsm.nn.random_tps import RandomTPS, TransformConfig
from tpsm.nn.state_dict import ReleasedModules
from tpsm.nn.vgg import PerceptualConfig


@checked
@dataclass(frozen=True)
class LossWeights:
    """With `gan` above 0 the model is trained against a discriminator, and its feature maps are matched too."""

    equivariance: NotNegative = 10.0
    jacobian: NotNegative = 10.0
    gan: NotNegative = 0.0
    feature_matching: NotNegative = 10.0


@checked
@dataclass(frozen=True)
class Config:
    """The defaults are the released vox-256 model's. `single_jacobian`: one map of jacobians for all points.

    `align_corners` is how images are sampled. The released code names no convention: its models of 2019 date from a
    PyTorch whose default was True, and under any since 1.3 the same program samples with False.
    """

    num_keypoints: Width = 10
    jacobian: bool = True
    single_jacobian: bool = False
    temperature: Positive = 0.1
    align_corners: bool = True
    detector: HourglassConfig = field(default_factory=lambda: HourglassConfig(width=32))
    dense_motion: HourglassConfig = field(default_factory=HourglassConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    weights: LossWeights = field(default_factory=LossWeights)


class KeypointDetector(nn.Module):
    """Finds keypoints as the mean positions of heatmaps, and the Jacobian about each as the mean of a map."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.temperature = config.temperature
        self.predictor = Hourglass(3, config.detector, nn.BatchNorm2d)
        outputs = self.predictor.out_channels[-1]
        self.kp = nn.Conv2d(outputs, config.num_keypoints, 7)
        self.jacobian: nn.Conv2d | None = None
        if config.jacobian:
            maps = 1 if config.single_jacobian else config.num_keypoints
            self.jacobian = jacobian_head(outputs, maps)
        self.down = downsample(3, config.detector.scale_factor)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
        features = self.predictor(self.down(image))[-1]
        heatmaps = spatial_softmax(self.kp(features), self.temperature)
        if self.jacobian is None:
            return Keypoints(expectation(heatmaps))
        return Keypoints(expectation(heatmaps), mean_jacobians(self.jacobian(features), heatmaps))


class OcclusionAwareGenerator(Generator):
    """Draws the source's features where the flow moves them, masked where they are hidden."""

    def __init__(self, config: Config) -> None:
        super().__init__(config.generator)
        self.align_corners = config.align_corners
        self.dense_motion_network = DenseMotion(config.num_keypoints, config.dense_motion)

    def motion(self, image: Float[Tensor, "b 3 h w"], source: Keypoints, driving: Keypoints) -> Motion:
        """Returns the dense motion: a weighted sum of the identity and the local motion about every keypoint."""
        small = self.dense_motion_network.down(image)
        height, width = small.shape[-2:]
        grid = coordinate_grid(height, width, small)
        matrices = None
        if source.affine is not None and driving.affine is not None:
            matrices = relative_affine(source.affine, driving.affine)
        local = local_motions(matrices, driving.xy, source.xy, grid)
        candidates = torch.cat([grid.expand(local.shape[0], 1, -1, -1, -1), local], dim=1)
        heatmaps = gaussians(driving.xy, height, width) - gaussians(source.xy, height, width)
        return self.dense_motion_network(small, heatmaps, candidates, self.align_corners)

    def forward(self, features: tuple[Tensor, ...], motion: Motion) -> Float[Tensor, "b 3 h w"]:
        warped, mask = warp_and_mask(features[-1], motion, self.align_corners)
        x = self.bottleneck(warped * mask)
        for block in self.up_blocks:
            x = block(x)
        return torch.sigmoid(self.final(x))


class Model(Method):
    """FOMM: keypoints with local affine motion, an occlusion-aware generator and, on request, a discriminator."""

    sync_batch_norm: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("discriminator",)
    resize_align_corners: ClassVar[bool] = False
    scale_relative_motion: ClassVar[bool] = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.align_corners = config.align_corners
        self.generator = OcclusionAwareGenerator(config)
        self.kp_detector = KeypointDetector(config)
        self.discriminator: Discriminator | None = None
        if config.weights.gan:
            self.discriminator = Discriminator(config.discriminator, config.num_keypoints)
        self.perceptual = PerceptualLoss(config.perceptual)

    def check_sides(self, image: Float[Tensor, "b 3 h w"]) -> None:
        config = self.config
        divisor = math.lcm(config.detector.divisor, config.dense_motion.divisor, 2**config.generator.num_down_blocks)
        # The 7 x 7 convolution without padding must leave 2 x 2 pixels, and so must every hourglass at its bottom.
        smallest = max(8 * stride(config.detector.scale_factor), config.detector.smallest, config.dense_motion.smallest)
        if self.discriminator is not None:
            smallest = max(smallest, config.discriminator.smallest)
        check_sides(image, divisor, smallest, "FOMM's hourglasses and discriminator")

    @full_precision
    def keypoints(self, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
        self.check_sides(image)
        return self.kp_detector(image)

    def encode(self, source: Float[Tensor, "b 3 h w"]) -> EncodedSource:
        return EncodedSource(source, self.keypoints(source), self.generator.encode(source)[-1:])

    def render(
        self, code: EncodedSource, driving: Keypoints, background: Float[Tensor, "b 3 3"] | None = None
    ) -> Prediction:
        if code.image.shape[0] != driving.xy.shape[0]:
            code = code.expand(driving.xy.shape[0])
        motion = self.generator.motion(code.image, code.keypoints, driving)
        return Prediction(self.generator(code.features, motion), motion)

    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]:
        transform = RandomTPS.sample(pair.source.shape[0], self.config.transform, "l1", draws)
        return self.training_step(pair, transform)[1]

    def training_step(self, pair: FramePair, transform: RandomTPS) -> tuple[Prediction, dict[str, Tensor]]:
        """Returns the prediction and the weighted losses, by name; `transform` is that of the equivariance losses."""
        weights = self.config.weights
        code = self.encode(pair.source)
        driving = self.keypoints(pair.driving)
        prediction = self.render(code, driving)

        # The paper's losses: reconstruction, equivariance of keypoints and of Jacobians, and the discriminator's.
        losses = {}
        if any(self.config.perceptual.weights):
            losses["perceptual"] = self.perceptual(prediction.image, pair.driving)
        if weights.equivariance or weights.jacobian:
            transform = transform.to(pair.driving)
            transformed = self.keypoints(transform.image(pair.driving, align_corners=self.align_corners))
            if weights.equivariance:
                losses["equivariance"] = weights.equivariance * equivariance(driving, transformed, transform)
            if weights.jacobian and driving.affine is not None:
                agreement = affine_agreement(driving, transformed, transform)
                losses["jacobian"] = weights.jacobian * distance_to_identity(agreement)
        if self.discriminator is not None:
            losses |= adversarial_losses(
                self.discriminator, prediction.image, pair.driving, driving.xy, weights.gan, weights.feature_matching
            )
        return prediction, losses

    def load_released(self, modules: ReleasedModules) -> None:
        modules.load(self.generator, "generator")
        modules.load(self.kp_detector, "kp_detector")
        if self.discriminator is not None:
            modules.load(self.discriminator, "discriminator")
        elif "discriminator" in modules.entries:  # Released files hold one even where no model was trained against it.
            with torch.device("meta"):
                unused = Discriminator(self.config.discriminator, self.config.num_keypoints)
            modules.check(unused, "discriminator")
        modules.refuse_others({*dict(self.named_children()), "discriminator"})
