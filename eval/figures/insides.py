"""What a method computes on the way to a frame, drawn over the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb

from eval.figures.drawing import save, short
from eval.tables.results import Results
from eval.types import to_pixels
from tpsm.core.layout import Layout
from tpsm.data.arrays import opened_arrays
from tpsm.data.clip import read_frames

ARROWS = 16
"""Along a side of the image."""


def insides(results: Results, run: str) -> Path | None:
    """One row per clip: the source's points, and for one frame its points, the motion, which of the motions each pixel
    follows, the masks from the coarsest to the finest, and the generated frame."""
    layout, rows = results.layout, []
    for entry in results.manifest.clips("test"):
        if (path := layout.insides(run, entry.name)).is_file():
            with opened_arrays(path, "run reconstruct again") as arrays:
                rows.append((entry.name, dict(arrays)))
    if not rows or not layout.has_frames(run):
        return None
    masks = max(sum(name.startswith("occlusion") for name in arrays) for _, arrays in rows)
    width = 5 + masks
    figure, axes = plt.subplots(
        len(rows), width, figsize=(1.55 * width, 1.62 * len(rows) + 0.25), squeeze=False, layout="constrained"
    )
    for line, (name, arrays) in zip(axes, rows, strict=True):
        for axis in line:
            axis.set(xticks=[], yticks=[])
        _draw_row(line, layout, run, name, arrays)
    headings = ["source", "driving", "motion", "assignment", *(f"mask {i + 1} of {masks}" for i in range(masks))]
    for axis, heading in zip(axes[0], [*headings, short(results.label(run))], strict=True):
        axis.set_title(heading)
    return save(figure, results, f"insides_{run}")


def _draw_row(axes: np.ndarray, layout: Layout, run: str, name: str, arrays: dict[str, np.ndarray]) -> None:
    chosen = len(arrays["frames"]) // 2
    when = int(arrays["frames"][chosen])
    source, driving = read_frames(layout.test_clip(name), [0, when])
    (made,) = read_frames(layout.generated(run, name), [when])
    weights = arrays["weights"][chosen].astype(np.float64)
    motions = max(len(weights) - 1, 1)  # a method of one motion has no background beside it
    colours = hsv_to_rgb([(i / motions, 0.9, 1) for i in range(motions)])
    axes[0].set_ylabel(f"{short(name)}\nframe {when}", fontsize=7)
    _points(axes[0], source, arrays["source_xy"], colours)
    _points(axes[1], driving, arrays["driving_xy"][chosen], colours)
    _arrows(axes[2], driving, arrays["motion"][chosen].astype(np.float64))
    axes[3].imshow(_assignment(driving, weights, colours), interpolation="nearest")
    for index in range(len(axes) - 5):
        axes[4 + index].imshow(_masked(driving, arrays[f"occlusion_{index}"][chosen]), interpolation="nearest")
    axes[-1].imshow(made, interpolation="nearest")


def _points(
    axis: Axes, frame: UInt8[np.ndarray, "h w 3"], xy: Float[np.ndarray, "k 2"], colours: Float[np.ndarray, "m 3"]
) -> None:
    """Points of one motion have one colour: five for a thin-plate spline, one for a keypoint or region."""
    x, y = to_pixels(xy, *frame.shape[:2]).T
    axis.imshow(frame, interpolation="nearest")
    of_each = colours[np.arange(len(xy)) * len(colours) // max(len(xy), 1)]
    axis.scatter(x, y, s=16, c=of_each, edgecolor="black", linewidth=0.5)
    axis.set(xlim=(-0.5, frame.shape[1] - 0.5), ylim=(frame.shape[0] - 0.5, -0.5))


def _arrows(axis: Axes, frame: UInt8[np.ndarray, "h w 3"], motion: Float[np.ndarray, "h w 2"]) -> None:
    """From where a pixel was in the source to where it is; of those that moved by half a pixel at least."""
    height, width = frame.shape[:2]
    rows, columns = (np.arange(ARROWS) * side // ARROWS + side // (2 * ARROWS) for side in (height, width))
    y, x = np.meshgrid(rows, columns, indexing="ij")
    shift = np.stack([x, y], axis=-1) - to_pixels(motion[rows][:, columns], height, width)
    moved = np.hypot(*np.moveaxis(shift, -1, 0)) >= 0.5 * width / 64
    axis.imshow(_pale(frame), interpolation="nearest", cmap="gray", vmin=0, vmax=1)
    axis.quiver(
        *(x[moved], y[moved], shift[moved][:, 0], shift[moved][:, 1]),
        angles="xy", scale_units="xy", scale=1, pivot="tip", color="crimson", width=0.009,
    )  # fmt: skip
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _assignment(
    frame: UInt8[np.ndarray, "h w 3"], weights: Float[np.ndarray, "m a b"], colours: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "h w 3"]:
    """Each pixel in the mixed colour of the motions that it follows; grey is the background's."""
    mixed = np.einsum("mab,mc->abc", weights, np.concatenate([[[0.5, 0.5, 0.5]], colours])[: len(weights)])
    return 0.45 * _pale(frame)[..., None] + 0.55 * _enlarged(mixed, frame.shape[0]).clip(0, 1)


def _masked(frame: UInt8[np.ndarray, "h w 3"], mask: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "h w 3"]:
    """Magenta where the warped source is not trusted, and the method draws anew."""
    hidden = (1 - _enlarged(mask.astype(np.float64), frame.shape[0]))[..., None]
    return (1 - 0.8 * hidden) * _pale(frame)[..., None] + 0.8 * hidden * [0.85, 0.0, 0.55]


def _pale(frame: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Grey and bright, for colours to stand out."""
    return 0.35 + 0.65 * frame.mean(axis=-1) / 255


def _enlarged(small: Float[np.ndarray, "a b *c"], side: int) -> Float[np.ndarray, "h w *c"]:
    """To `side`, by the nearest value; the package's frames are square."""
    index = (np.arange(side) * len(small)) // side
    return small[index][:, index]
