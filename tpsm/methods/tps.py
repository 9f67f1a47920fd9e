"""TPSMM: Thin-Plate Spline Motion Model for Image Animation (Zhao and Zhang, CVPR 2022), as released."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from tpsm.core.rng import BatchRng
from tpsm.core.schema import Count, NotNegative, Share, Whole, Width, checked
from tpsm.core.types import EncodedSource, FramePair, Keypoints, Motion, Prediction
from tpsm.methods.base import Method
from tpsm.methods.inpainting import InpaintingConfig, InpaintingNetwork, motion_at
from tpsm.nn.blocks import (
    Conv7x7,
    Hourglass,
    HourglassConfig,
    UpBlock,
    check_sides,
    downsample,
    instance_norm,
    stride,
)
from tpsm.nn.geometry import (
    POINTS_PER_TPS,
    apply_splines,
    assignments,
    blend,
    compose,
    coordinate_grid,
    gaussians,
    project,
    thin_plate_splines,
    warp,
    warp_by_each,
)
from tpsm.nn.losses import PerceptualLoss, distance_to_identity, equivariance
from tpsm.nn.pieces import by_pieces
from tpsm.nn.precision import full_precision
from tpsm.nn.random_tps import RandomTPS, TransformConfig
from tpsm.nn.resnet import ResNet18
from tpsm.nn.state_dict import ReleasedModules
from tpsm.nn.vgg import PerceptualConfig


@checked
@dataclass(frozen=True)
class DropoutConfig:
    """Dropout of splines: the probability grows from `start` by `maximum` every `ramp_epochs`, up to `maximum`.

    From `until_epoch` on there is none.
    """

    start: Share = 0.1
    maximum: Share = 0.3
    ramp_epochs: Count = 10
    until_epoch: Whole = 35

    def probability(self, epoch: int) -> float | None:
        """Returns the probability P that a spline is left out in `epoch`; None where dropout has ended."""
        if epoch >= self.until_epoch:
            return None
        return min(epoch / self.ramp_epochs * self.maximum + self.start, self.maximum)


@checked
@dataclass(frozen=True)
class LossWeights:
    """The factors of the losses; `PerceptualConfig.weights` holds those of the perceptual loss."""

    equivariance: NotNegative = 10.0
    warp: NotNegative = 10.0
    background: NotNegative = 10.0


@checked
@dataclass(frozen=True)
class Config:
    """The defaults are the released vox-256 model's. `encoder_width` 64 is ResNet-18 as published."""

    num_tps: Width = 10
    encoder_width: Width = 64
    background: bool = True
    background_start: Whole = 10
    multi_mask: bool = True
    dense_motion: HourglassConfig = field(default_factory=HourglassConfig)
    inpainting: InpaintingConfig = field(default_factory=InpaintingConfig)
    dropout: DropoutConfig | None = field(default_factory=DropoutConfig)
    transform: TransformConfig = field(default_factory=TransformConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.multi_mask:
            ups = math.log2(stride(self.dense_motion.scale_factor))
            coarse = self.inpainting.num_down_blocks + 1 - ups
            if not ups.is_integer() or not 1 <= coarse <= self.dense_motion.num_blocks:
                raise ValueError(
                    "multi_mask: a mask for each of the inpainting network's "
                    f"{self.inpainting.num_down_blocks + 1} resolutions needs a dense_motion.scale_factor that is a "
                    "power of 2 and no finer grid of masks than these; change inpainting.num_down_blocks or num_blocks"
                )


class KeypointDetector(nn.Module):
    """Finds 5 keypoints for each spline, in [-1, 1]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.fg_encoder = ResNet18(3, config.num_tps * POINTS_PER_TPS * 2, config.encoder_width)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n 2"]:
        return (2 * torch.sigmoid(self.fg_encoder(image)) - 1).unflatten(1, (-1, 2))


class BackgroundPredictor(nn.Module):
    """Predicts the affine motion of the background, T_bg(p) = A_bg [p, 1], from driving to source coordinates.

    It is the identity at first.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bg_encoder = ResNet18(6, 6, config.encoder_width)
        self.bg_encoder.conv1.reset_parameters()  # The released code replaces this layer and keeps PyTorch's own init.
        nn.init.zeros_(self.bg_encoder.fc.weight)
        with torch.no_grad():
            self.bg_encoder.fc.bias.copy_(torch.eye(2, 3, device="cpu").flatten())

    def forward(self, source: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 3"]:
        affine = self.bg_encoder(torch.cat([source, driving], dim=1)).unflatten(1, (2, 3))
        last = torch.eye(3, dtype=affine.dtype, device=affine.device)[2:].expand(affine.shape[0], 1, 3)
        return torch.cat([affine, last], dim=1)


class DenseMotionNetwork(nn.Module):
    """Predicts which motion each pixel follows, the background's or a spline's, and where the source is hidden."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        motions = config.num_tps + 1
        self.down = downsample(3, config.dense_motion.scale_factor)
        self.hourglass = Hourglass(
            3 * motions + POINTS_PER_TPS * config.num_tps + 1, config.dense_motion, instance_norm
        )
        outputs = self.hourglass.out_channels
        self.maps = Conv7x7(outputs[-1], motions)
        ups = round(math.log2(stride(config.dense_motion.scale_factor))) if config.multi_mask else 0
        finer = [outputs[-1] // 2**i for i in range(ups + 1)]
        self.up = nn.ModuleList(UpBlock(finer[i], finer[i + 1], instance_norm) for i in range(ups))
        self.coarse_masks = config.inpainting.num_down_blocks + 1 - ups if config.multi_mask else 1
        sizes = [*outputs[-self.coarse_masks :], *finer[1:]]
        self.occlusion = nn.ModuleList(Conv7x7(size, 1) for size in sizes)

    def forward(
        self,
        source: Float[Tensor, "b 3 _ _"],
        source_points: Float[Tensor, "b n 2"],
        driving_points: Float[Tensor, "b n 2"],
        background: Float[Tensor, "b 3 3"] | None,
        keep: Float[Tensor, "b m"] | None = None,
    ) -> Motion:
        """`keep` is 0 for the motions that dropout leaves out, 1 for others; None takes the plain softmax."""
        small = self.down(source)
        batch, _, height, width = small.shape

        # The candidate motions: the background's T_bg, then every spline's T_k.
        grid = coordinate_grid(height, width, small)
        still = grid.expand(batch, -1, -1, -1) if background is None else project(background, grid)
        driving_sets = driving_points.unflatten(1, (-1, POINTS_PER_TPS))
        splines = thin_plate_splines(driving_sets, source_points.unflatten(1, (-1, POINTS_PER_TPS)))
        candidates = torch.cat([still[:, None], apply_splines(splines, driving_sets, height, width)], dim=1)

        # What the network sees: where points are, and the source as each motion moves it.
        warped = warp_by_each(small, candidates, align_corners=True)
        heatmaps = gaussians(driving_points, height, width) - gaussians(source_points, height, width)
        heatmaps = torch.cat([heatmaps.new_zeros(batch, 1, height, width), heatmaps], dim=1)
        outputs = self.hourglass(torch.cat([heatmaps, warped.flatten(1, 2)], dim=1))

        # The contribution maps by a softmax, with dropout in training (equation 7), and the flow as their weighted sum.
        logits = self.maps(outputs[-1])
        weights = assignments(logits) if keep is None else dropout_softmax(logits, keep)
        flow = blend(weights, candidates)

        # The multi-resolution occlusion masks, from coarse to fine.
        finest = outputs[-1][0].numel() * 2 ** len(self.up)  # half the channels and four times the pixels with each
        coarse = outputs[-self.coarse_masks :]
        found = by_pieces(lambda piece: self._masks([output[piece] for output in coarse]), batch, source, finest)
        masks = found[0] if len(found) == 1 else [torch.cat(parts) for parts in zip(*found, strict=True)]
        return Motion(flow, tuple(masks), weights)

    def _masks(self, features: list[Tensor]) -> list[Tensor]:
        for block in self.up:
            features.append(block(features[-1]))
        return [torch.sigmoid(conv(x)) for conv, x in zip(self.occlusion, features, strict=True)]


@full_precision
def dropout_softmax(logits: Float[Tensor, "b m h w"], keep: Float[Tensor, "b m"]) -> Float[Tensor, "b m h w"]:
    """Returns the softmax over the motions that dropout keeps (equation 7 of the paper).

    As released, the maximum is over all motions, 1e-6 is added to the sum, and nothing is rescaled by 1 / (1 - P) as
    the equation has it; where the strongest motion is left out, the weights can therefore sum to less than 1.
    """
    kept = torch.exp(logits - logits.amax(dim=1, keepdim=True)) * keep[:, :, None, None]
    return kept / (kept.sum(dim=1, keepdim=True) + 1e-6)


class Model(Method):
    """TPSMM: keypoints, thin-plate spline motion, multi-resolution occlusion masks and inpainting."""

    align_corners = True
    resize_align_corners: ClassVar[bool] = True
    clip_grad_modules: ClassVar[tuple[str, ...]] = ("kp_detector", "dense_motion_network", "bg_predictor")

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.kp_detector = KeypointDetector(config)
        self.dense_motion_network = DenseMotionNetwork(config)
        self.inpainting_network = InpaintingNetwork(config.inpainting)
        self.bg_predictor = BackgroundPredictor(config) if config.background else None
        self.perceptual = PerceptualLoss(config.perceptual)

    def check_sides(self, image: Float[Tensor, "b 3 h w"]) -> None:
        divisor = math.lcm(self.config.dense_motion.divisor, 2**self.config.inpainting.num_down_blocks)
        smallest = max(divisor, self.config.dense_motion.smallest)
        check_sides(image, divisor, smallest, "TPSMM's hourglass and inpainting network")

    @full_precision
    def keypoints(self, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
        self.check_sides(image)
        return Keypoints(self.kp_detector(image))

    @full_precision
    def background(
        self, source: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 3"] | None:
        return None if self.bg_predictor is None else self.bg_predictor(source, driving)

    def encode(self, source: Float[Tensor, "b 3 h w"]) -> EncodedSource:
        return EncodedSource(source, self.keypoints(source), self.inpainting_network.encode(source))

    def render(
        self, code: EncodedSource, driving: Keypoints, background: Float[Tensor, "b 3 3"] | None = None
    ) -> Prediction:
        return self._render(code, driving, background, None)

    def _render(
        self, code: EncodedSource, driving: Keypoints, background: Tensor | None, keep: Tensor | None
    ) -> Prediction:
        if code.image.shape[0] != driving.xy.shape[0]:
            code = code.expand(driving.xy.shape[0])
        motion = self.dense_motion_network(code.image, code.keypoints.xy, driving.xy, background, keep)
        return Prediction(self.inpainting_network(code.image, code.features, motion), motion)

    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]:
        transform = RandomTPS.sample(pair.source.shape[0], self.config.transform, "squared_l2", draws)
        return self.training_step(pair, epoch, draws, transform)[1]

    def phase(self, epoch: int) -> Hashable:
        dropout = self.config.dropout
        return None if dropout is None else dropout.probability(epoch), epoch >= self.config.background_start

    def training_step(
        self, pair: FramePair, epoch: int, draws: BatchRng, transform: RandomTPS
    ) -> tuple[Prediction, dict[str, Tensor]]:
        """Returns the prediction and the weighted losses, by name; `transform` is that of the equivariance loss."""
        # The driving frame, predicted from the source; the background moves once its training has begun.
        weights = self.config.weights
        code = self.encode(pair.source)
        driving = self.keypoints(pair.driving)
        forth = self.background(pair.source, pair.driving) if epoch >= self.config.background_start else None
        prediction = self._render(code, driving, forth, self._keep(pair.source, epoch, draws))

        # The paper's losses: reconstruction, equivariance, warp and background.
        losses = {}
        if any(self.config.perceptual.weights):
            losses["perceptual"] = self.perceptual(prediction.image, pair.driving)
        if weights.equivariance:
            transform = transform.to(pair.driving)
            transformed = self.keypoints(transform.image(pair.driving, align_corners=True))
            losses["equivariance"] = weights.equivariance * equivariance(driving, transformed, transform)
        if weights.warp:
            losses["warp"] = weights.warp * self._warp_loss(pair.driving, code.features, prediction.motion)
        if forth is not None and weights.background:
            back = self.background(pair.driving, pair.source)
            assert back is not None
            losses["background"] = weights.background * distance_to_identity(compose(forth, back))
        return prediction, losses

    def _keep(self, source: Tensor, epoch: int, draws: BatchRng) -> Float[Tensor, "b m"] | None:
        probability = None if self.config.dropout is None else self.config.dropout.probability(epoch)
        if probability is None:
            return None
        kept = draws.uniform(source.shape[0], self.config.num_tps) < 1 - probability
        return F.pad(kept.to(source), (1, 0), value=1.0)  # The background is never left out.

    def _warp_loss(self, driving: Tensor, features: tuple[Tensor, ...], motion: Motion) -> Tensor:
        """Returns the L1 between warped source features and the driving image's, summed over resolutions.

        As released, it trains the flow alone: features and masks are detached.
        """
        with torch.no_grad():
            targets = self.inpainting_network.encode(driving)
        grids, masks = motion_at(motion, features[::-1])
        total = driving.new_zeros(())
        for feature, target, grid, mask in zip(features[::-1], targets[::-1], grids, masks, strict=True):
            difference = warp(feature.detach(), grid, align_corners=True) - target
            total = total + (difference * mask.detach()).abs().mean()
        return total

    def load_released(self, modules: ReleasedModules) -> None:
        modules.load(self.kp_detector, "kp_detector")
        modules.load(self.dense_motion_network, "dense_motion_network")
        modules.load(self.inpainting_network, "inpainting_network")
        if self.bg_predictor is not None:
            # The released code saves it from the epoch on at which its training begins, and animates without it.
            hint = "if its training ended before the background's began, set model.background: false."
            modules.load(self.bg_predictor, "bg_predictor", hint=hint)
        modules.refuse_others(dict(self.named_children()))
