"""How good the evaluators are, on real test frames: a metric resolves nothing finer than its evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, UInt8
from scipy.stats import rankdata

from eval.evaluators import IdentityEncoder, LandmarkDetector
from eval.metrics import Landmarks, to_pixels
from eval.metrics.aed import aed
from eval.metrics.akd import akd
from eval.metrics.mkr import mkr
from tpsm.data.clipfile import read_clip
from tpsm.errors import UserError

Quality = dict[str, float | int | None]


def landmark_quality(detector: LandmarkDetector, clips: Sequence[Path]) -> Quality:
    """Errors in px against the true joints, over visible joints that were found; shares of visible joints found and of
    hidden joints found all the same; and AKD and MKR between a frame and the same frame with noise of one level of 255,
    or moved by one pixel (the detections moved back): what these metrics read where nothing changed."""
    errors, coordinates, seen, hidden = [], [], [], []
    floors: dict[str, list[np.ndarray]] = {name: [] for name in ("noise_akd", "noise_mkr", "shift_akd", "shift_mkr")}
    rng = np.random.default_rng(0)
    for path in clips:
        clip = read_clip(path)
        if clip.truth is None:
            raise UserError(f"{path.name} has no ground truth to measure the joint detector against; prepare it anew.")
        size = clip.frames.shape[1:3]
        detected = detector(clip.frames)
        offset = detected.pixels(*size) - to_pixels(clip.truth.joints, *size)
        good = detected.found & clip.truth.visible
        errors.append(np.linalg.norm(offset[good], axis=-1))
        coordinates.append(np.abs(offset[good]).mean(axis=-1))
        seen.append(detected.found[clip.truth.visible])
        hidden.append(detected.found[~clip.truth.visible])
        for name, frames, moved in (("noise", _noisy(clip.frames, rng), 0), ("shift", _shifted(clip.frames), 1)):
            again = detector(frames)
            both = again.found & detected.found
            floors[f"{name}_akd"].append(akd(_back(again, moved, size), detected.pixels(*size), both))
            floors[f"{name}_mkr"].append(mkr(again.found, detected.found))
    error = np.concatenate(errors)
    return {
        "clips": len(clips),
        "median_error_px": _rounded(float(np.median(error)) if len(error) else np.nan),
        "mean_error_px": _mean(error),
        "akd_truth_of_real_frames_px": _mean(np.concatenate(coordinates)),
        "share_within_2_px": _mean(error < 2),
        "visible_found": _mean(np.concatenate(seen)),
        "hidden_found": _mean(np.concatenate(hidden)),
    } | {name: _mean(np.concatenate(values)) for name, values in floors.items()}


def identity_quality(encoder: IdentityEncoder, clips: Sequence[Path]) -> Quality:
    """Each frame against the mean embedding of every *other* test clip: how often the nearest shows the same identity
    (rank 1; chance says what guessing gives), the mean squared distance to clips of the same and of other identities,
    and the area under the ROC curve of that distance. `same_clip_aed` is AED between a clip's frames and its first.

    What needs two clips of an identity, or two identities, is null without them.
    """
    embeddings, identities, within = [], [], []
    for path in clips:
        clip = read_clip(path)
        embedding = encoder(clip.frames)
        embeddings.append(embedding)
        identities.append(clip.identity)
        within.append(aed(embedding, np.broadcast_to(embedding[:1], embedding.shape))[1:])
    names = np.array(identities)
    centres = np.stack([embedding.mean(axis=0) for embedding in embeddings])
    same, different, hits, chances = [], [], [], []
    for index, embedding in enumerate(embeddings):
        others = np.arange(len(names)) != index
        alike = names[others] == names[index]
        distance = np.square(embedding[:, None] - centres[others]).sum(axis=-1)
        same.append(distance[:, alike].ravel())
        different.append(distance[:, ~alike].ravel())
        if alike.any():
            hits.append(alike[distance.argmin(axis=1)])
            chances.append(alike.mean())
    near, far = np.concatenate(same), np.concatenate(different)
    return {
        "clips": len(clips),
        "rank_1": _mean(np.concatenate(hits)) if hits else None,
        "rank_1_by_chance": _mean(np.array(chances)),
        "same_identity_distance": _mean(near),
        "other_identity_distance": _mean(far),
        "auc": _auc(near, far),
        "same_clip_aed": _mean(np.concatenate(within)),
    }


def _auc(near: Float[np.ndarray, " n"], far: Float[np.ndarray, " m"]) -> float | None:
    """The chance that a distance from `near` is below one from `far` (Mann-Whitney; ties count half)."""
    if not len(near) or not len(far):
        return None
    ranks = rankdata(np.concatenate([near, far]))[: len(near)].sum()
    return _rounded(1 - (ranks - len(near) * (len(near) + 1) / 2) / (len(near) * len(far)))


def _noisy(frames: UInt8[np.ndarray, "t h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "t h w 3"]:
    return (frames.astype(np.int16) + rng.integers(-1, 2, frames.shape)).clip(0, 255).astype(np.uint8)


def _shifted(frames: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "t h w 3"]:
    """One pixel to the right; the left edge is repeated."""
    return np.concatenate([frames[:, :, :1], frames[:, :, :-1]], axis=2)


def _back(landmarks: Landmarks, pixels: int, size: tuple[int, ...]) -> Float64[np.ndarray, "t j 2"]:
    return landmarks.pixels(size[0], size[1]) - (pixels, 0)


def _mean(values: np.ndarray) -> float | None:
    counted = values[~np.isnan(values.astype(np.float64))]
    return _rounded(float(counted.mean())) if len(counted) else None


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 5)
