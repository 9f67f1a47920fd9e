"""Defines the interface of an animation method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from tpsm.core.rng import BatchRng
from tpsm.core.types import EncodedSource, FramePair, Keypoints, Prediction
from tpsm.nn.geometry import resize_grid
from tpsm.nn.losses import PerceptualLoss
from tpsm.nn.state_dict import ReleasedModules


class Method(nn.Module, ABC):
    """An unsupervised animation method: what to move (keypoints), how (render), and how to learn both (losses).

    A module that offers a method has two public names, `Config` (a frozen dataclass, every field with a default) and
    `Model`, a `Method` built as `Model(config)`.
    """

    align_corners: bool
    """Whether images are sampled with corners aligned, as the method's released code does; FOMM's configuration
    decides."""

    resize_align_corners: ClassVar[bool]
    """Whether flows and masks are resized with corners aligned, which need not agree with `align_corners`."""

    clip_grad_modules: ClassVar[tuple[str, ...]] = ()
    """Submodules whose gradient the trainer clips, each by itself."""

    sync_batch_norm: ClassVar[bool] = False
    """Whether the released code computes batch statistics over all devices."""

    training_only: ClassVar[tuple[str, ...]] = ()
    """Submodules that no prediction uses; published weights leave them out."""

    perceptual: PerceptualLoss

    scale_relative_motion: ClassVar[bool] = True
    """Whether relative animation scales the driving displacement to the size of the source's pose."""

    def check_sides(self, image: Float[Tensor, "b 3 h w"]) -> None:
        """Raises UserError unless the networks take images of this size. `keypoints` asks it first; `tpsm configure`
        does so before anything is trained."""

    @abstractmethod
    def keypoints(self, image: Float[Tensor, "b 3 h w"]) -> Keypoints:
        """Returns the pose of each image. Raises UserError where the images' sides do not fit the model."""

    def background(
        self, source: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 3 3"] | None:
        """Returns homogeneous matrices from driving to source coordinates; None where no background is modelled."""
        return None

    @abstractmethod
    def encode(self, source: Float[Tensor, "b 3 h w"]) -> EncodedSource:
        """Computes everything that depends on the source alone."""

    @abstractmethod
    def render(
        self, code: EncodedSource, driving: Keypoints, background: Float[Tensor, "b 3 3"] | None = None
    ) -> Prediction:
        """Draws the source in the pose `driving`. Without `background` the background stays where it is."""

    @abstractmethod
    def losses(self, pair: FramePair, epoch: int, draws: BatchRng) -> dict[str, Tensor]:
        """Returns the weighted scalar losses of one training step, by name; the trainer minimises their sum.

        `draws` is the only source of randomness, so that a resumed run repeats an unbroken one.
        """

    def phase(self, epoch: int) -> Hashable:
        """Returns all of `epoch` that `losses` depends on: a captured step holds as long as this stays the same."""
        return None

    def forward(
        self, source: Float[Tensor, "b 3 h w"], driving: Float[Tensor, "b 3 h w"], epoch: int, draws: BatchRng
    ) -> dict[str, Tensor]:
        """Returns `losses`, in the form that wrappers for many devices take."""
        return self.losses(FramePair(source, driving), epoch, draws)

    @abstractmethod
    def load_released(self, modules: ReleasedModules) -> None:
        """Takes the weights of a released checkpoint, strictly.

        Raises:
            UserError: an entry is missing, superfluous or does not fit; the message names it and the file.
        """


def full_motion(
    method: Method | type[Method], grid: Float[Tensor, "t a b 2"], size: Sequence[int]
) -> Float[Tensor, "t h w 2"]:
    """Returns where each pixel of an image of `size` (height, width) comes from, in [-1, 1], as the method itself
    enlarges its grid and samples by it.

    Without `align_corners`, sampling takes +-1 for the image's outer edge, half a pixel beyond the centres of its
    outermost pixels, where this package's coordinates have it.
    """
    height, width = size
    large = resize_grid(grid, (height, width), align_corners=method.resize_align_corners)
    return large if method.align_corners else large * large.new_tensor([width / (width - 1), height / (height - 1)])
