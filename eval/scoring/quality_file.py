"""`evaluators/<data set>/quality.json`: what `eval.scoring.quality` measured of each evaluator, and what made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tpsm.core.errors import UserError
from tpsm.core.layout import Layout
from tpsm.core.provenance import Provenance
from tpsm.core.reading import read_json
from tpsm.core.schema import Whole, from_mapping


@dataclass(frozen=True)
class PretrainedRecord:
    """What a pretrained evaluator is: files of weights, each with its SHA-256, and versions of packages."""

    kind: str
    settings: dict[str, Any]
    weights: dict[str, str]
    packages: dict[str, str]


@dataclass(frozen=True)
class DetectorQuality:
    """See `eval.scoring.quality.landmark_quality`."""

    kind: str
    clips: Whole
    frames_found: float | None
    joints_found: float | None
    median_error_px: float | None
    mean_error_px: float | None
    akd_truth_of_real_frames_px: float | None
    share_within_2_px: float | None
    visible_found: float | None
    hidden_found: float | None
    moved_akd: float | None
    moved_akd_by_arithmetic: float | None
    noise_akd: float | None
    noise_mkr: float | None
    shift_akd: float | None
    shift_mkr: float | None
    pretrained: PretrainedRecord | None = None


@dataclass(frozen=True)
class EncoderQuality:
    """See `eval.scoring.quality.identity_quality`."""

    kind: str
    clips: Whole
    frames_found: float | None
    rank_1: float | None
    rank_1_by_chance: float | None
    same_identity_distance: float | None
    other_identity_distance: float | None
    auc: float | None
    same_clip_aed: float | None
    pretrained: PretrainedRecord | None = None


@dataclass(frozen=True)
class QualityFile:
    provenance: Provenance
    landmarks: DetectorQuality | None = None
    identity: EncoderQuality | None = None


def read_quality(layout: Layout) -> Mapping[str, Any]:
    """Returns the file's sections, by role and `provenance`; none where no evaluator was measured.

    Raises:
        UserError: it is no such file.
    """
    path = layout.evaluators / "quality.json"
    if not path.is_file():
        return {}
    values, where = read_json(path, "record of evaluators"), layout.relative(path)
    try:
        from_mapping(QualityFile, values, str(where))
    except UserError as error:
        raise UserError(f"{error} Run `python -m eval evaluators --dataset {layout.dataset}` again.") from error
    return dict(values)
