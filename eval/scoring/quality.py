"""How good the evaluators are, on real test frames: a metric resolves nothing finer than its evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from eval.evaluators import IdentityEncoder, LandmarkDetector
from eval.metrics.aed import aed
from eval.metrics.akd import akd
from eval.metrics.mkr import mkr
from eval.types import to_pixels
from tpsm.data.clip import read_clip

Quality = dict[str, float | int | None]
MOVE = (2, 1)
"""Pixels to the right and down; AKD between a frame and the frame moved is the hypotenuse."""


def landmark_quality(detector: LandmarkDetector, clips: Sequence[Path]) -> Quality:
    """Shares of frames with any joint found, and of joints found; strict AKD and MKR between a frame and the same frame
    with noise of one level of 255, or moved by `MOVE` px (the detections moved back): what these metrics read where
    nothing changed; and AKD of the moved frames as they are, which arithmetic says is `moved_akd_by_arithmetic`.

    Against the true joints, where the clips have those that the detector looks for: errors in px, over visible joints
    that were found, and shares of visible joints found and of hidden joints found all the same.
    """
    errors, akd_truth, seen, hidden, frames_found, joints_found, moved_akd = [], [], [], [], [], [], []
    floors: dict[str, list[np.ndarray]] = {name: [] for name in ("noise_akd", "noise_mkr", "shift_akd", "shift_mkr")}
    rng = np.random.default_rng(0)

    # What the detector finds in each clip, against the truth and against itself.
    for path in clips:
        clip = read_clip(path)
        size = clip.frames.shape[1:3]
        detected = detector(clip.frames)
        frames_found.append(detected.found.any(axis=1))
        joints_found.append(detected.found.ravel())
        # A pretrained detector looks for other joints than a synthetic set's.
        if clip.truth is not None and clip.truth.joints.shape == detected.xy.shape:
            offset = detected.pixels(*size) - to_pixels(clip.truth.joints, *size)
            good = detected.found & clip.truth.visible
            errors.append(np.linalg.norm(offset[good], axis=-1))
            akd_truth.append(akd(offset, np.zeros_like(offset), good))
            seen.append(detected.found[clip.truth.visible])
            hidden.append(detected.found[~clip.truth.visible])
        for name, frames, by in (("noise", _noisy(clip.frames, rng), (0, 0)), ("shift", moved(clip.frames), MOVE)):
            again = detector(frames)
            both = again.found & detected.found
            floors[f"{name}_akd"].append(akd(again.pixels(*size) - by, detected.pixels(*size), both))
            floors[f"{name}_mkr"].append(mkr(again.found, detected.found))
        moved_akd.append(akd(again.pixels(*size), detected.pixels(*size), both))

    # Means over all clips.
    error = _all(errors)
    return {
        "clips": len(clips),
        "frames_found": _mean(_all(frames_found)),
        "joints_found": _mean(_all(joints_found)),
        "median_error_px": _rounded(float(np.median(error)) if len(error) else np.nan),
        "mean_error_px": _mean(error),
        "akd_truth_of_real_frames_px": _mean(_all(akd_truth)),
        "share_within_2_px": _mean(error < 2),
        "visible_found": _mean(_all(seen)),
        "hidden_found": _mean(_all(hidden)),
        "moved_akd": _mean(_all(moved_akd)),
        "moved_akd_by_arithmetic": _rounded(float(np.hypot(*MOVE))),
    } | {name: _mean(_all(values)) for name, values in floors.items()}


def identity_quality(encoder: IdentityEncoder, clips: Sequence[Path]) -> Quality:
    """Each frame against the mean embedding of every *other* test clip: how often the nearest shows the same identity
    (rank 1; chance says what guessing gives), the mean distance (that of strict AED) to clips of the same and of other
    identities, and the area under the ROC curve of that distance. `same_clip_aed` is AED between a clip's frames and
    its first.

    Frames without an embedding (no face was found) are left out; `frames_found` is the share of the others. What needs
    two clips of an identity, or two identities, is null without them.
    """
    embeddings, identities, within, frames_found = [], [], [], []

    # The embeddings of each clip.
    for path in clips:
        clip = read_clip(path)
        embedding = encoder(clip.frames)
        found = np.isfinite(embedding).all(axis=1)
        frames_found.append(found)
        if found.any():
            embedding = embedding[found]
            embeddings.append(embedding)
            identities.append(clip.identity)
            within.append(aed(embedding, np.broadcast_to(embedding[:1], embedding.shape))[1:])

    # Each frame's distances to the means of all other clips.
    names = np.array(identities)
    centres = [embedding.mean(axis=0) for embedding in embeddings]
    same, different, hits, chances = [], [], [], []
    for index, embedding in enumerate(embeddings):
        others = np.arange(len(names)) != index
        alike = names[others] == names[index]
        distance = np.linalg.norm(embedding[:, None] - np.stack(centres)[others], axis=-1)
        same.append(distance[:, alike].ravel())
        different.append(distance[:, ~alike].ravel())
        if alike.any():
            hits.append(alike[distance.argmin(axis=1)])
            chances.append(alike.mean())

    # Means over all clips.
    near, far = _all(same), _all(different)
    return {
        "clips": len(clips),
        "frames_found": _mean(_all(frames_found)),
        "rank_1": _mean(_all(hits)),
        "rank_1_by_chance": _mean(np.array(chances)),
        "same_identity_distance": _mean(near),
        "other_identity_distance": _mean(far),
        "auc": _auc(near, far),
        "same_clip_aed": _mean(_all(within)),
    }


def _auc(near: Float[np.ndarray, " n"], far: Float[np.ndarray, " m"]) -> float | None:
    """The chance that a distance from `near` is below one from `far` (Mann-Whitney; ties count half)."""
    if not len(near) or not len(far):
        return None
    from scipy.stats import rankdata  # Here: SciPy takes long to load.

    ranks = rankdata(np.concatenate([near, far]))[: len(near)].sum()
    return _rounded(1 - (ranks - len(near) * (len(near) + 1) / 2) / (len(near) * len(far)))


def _noisy(frames: UInt8[np.ndarray, "t h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "t h w 3"]:
    return (frames.astype(np.int16) + rng.integers(-1, 2, frames.shape)).clip(0, 255).astype(np.uint8)


def moved(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
    """Moved to the right and down by `MOVE` px; the left and upper edges are repeated."""
    right, down = MOVE
    height, width = frames.shape[1:3]
    return np.pad(frames, ((0, 0), (down, 0), (right, 0), (0, 0)), mode="edge")[:, :height, :width]


def _all(arrays: Sequence[Any]) -> np.ndarray:
    return np.concatenate(arrays) if len(arrays) else np.zeros(0)


def _mean(values: np.ndarray) -> float | None:
    counted = values[~np.isnan(values.astype(np.float64))]
    return _rounded(float(counted.mean())) if len(counted) else None


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 5)
