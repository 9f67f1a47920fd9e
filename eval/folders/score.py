"""Scores frames from anywhere against the real ones: two folders of clips, paired by name.

This needs no method, no data set and no DVC.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jaxtyping import UInt8
from PIL import Image
from tqdm import tqdm

from eval import metrics
from eval.config import EvaluatorsConfig
from eval.evaluators import KINDS, evaluator_module, is_trained
from eval.evaluators.features import Evaluators
from eval.folders.codecs import codec_lines, codecs_of
from eval.metrics import Metric, available_metrics
from eval.scoring.scorer import computable
from eval.scoring.scores_file import COLUMNS, ORDER, ClipScores, frame_rows, write_scores
from eval.stats.config import BootstrapConfig
from eval.stats.intervals import ClipSums, Estimate, mean
from eval.tables.rates import within_range
from eval.tables.results import AVERAGING
from eval.tables.table import Value, aligned
from eval.types import PROTOCOLS, ROLES, Need, Role, ScoredClip
from tpsm.core.errors import UserError
from tpsm.core.files import atomic, write_json
from tpsm.core.layout import SUFFIX, identity_of
from tpsm.core.provenance import record
from tpsm.core.reading import parse_yaml
from tpsm.data.clip import ClipFile
from tpsm.data.video import is_clip, natural, read_video

FORMATS = (".parquet", ".csv")
BOOTSTRAP = BootstrapConfig(unit="clip")
SHOWN = 5
"""So many names of clips that lack a partner are printed; the scores' metadata has all."""


@dataclass(frozen=True)
class Request:
    """`evaluators` are kinds or sections, as in params.yaml. `resize` brings generated frames to the real ones' size
    instead of refusing them. `metrics` are modules from outside, beside all of ours."""

    real: Path
    generated: Path
    evaluators: EvaluatorsConfig = field(default_factory=EvaluatorsConfig)
    resize: bool = False
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Clip name -> real and generated file; and the names that stand on one side alone."""

    common: dict[str, tuple[Path, Path]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def score_folders(request: Request, out: Path | None) -> str:
    """Returns means with intervals, and what they cover, as text. `out` gets one row per frame, metric and protocol, as
    `score --dataset` writes them.

    Raises:
        UserError: a folder, a clip or an evaluator that will not do; nothing is written then.
    """
    began = time.monotonic()
    if out is not None and out.suffix.lower() not in FORMATS:
        raise UserError(f"Cannot write {out}: choose a name in {' or '.join(FORMATS)}.")
    pairs = pair_folders(request.real, request.generated)
    evaluators, records = load_pretrained(request.evaluators)
    hashes, codecs = FrameHashes(), _codecs(pairs)
    rows = frame_rows(_scores(request, pairs, evaluators, hashes))
    rows = rows.sort_values(ORDER, ignore_index=True)[COLUMNS]
    if out is not None:
        _write(out, rows, _about(request, pairs, records, hashes, codecs, began))
    return "\n".join([*_coverage(pairs), *codec_lines(codecs), "", *_table(rows), "", NOTE])


NOTE = (
    "L1 is of 8-bit frames in both protocols, for here are no floats. Strict means leave out each clip's first frame,\n"
    "which a reconstruction gets as its source; legacy ones, the papers' program's, count it."
)


def pair_folders(real: Path, generated: Path) -> Pairs:
    """Pairs the clips of two folders by their names up to the first '.'.

    Raises:
        UserError: a folder is missing or has no clips, two clips share a name, or no clip has a partner.
    """
    reals, made = clips_in(real), clips_in(generated)
    common = {name: (reals[name], made[name]) for name in reals if name in made}
    if not common:
        raise UserError(
            f"No clip of {generated} is called as one of {real} is, up to the first '.' "
            f"({next(iter(made))}..., {next(iter(reals))}...); rename them."
        )
    refuse_pictures(real, [path for path, _ in common.values()])
    missing, unexpected = (
        tuple(name for name in one if name not in other) for one, other in ((reals, made), (made, reals))
    )
    return Pairs(common, missing, unexpected)


def refuse_pictures(folder: Path, clips: Collection[Path]) -> None:
    """Raises a UserError where a folder holds frames side by side, each of which would be a clip."""
    if len(clips) > 1 and all(path.suffix.lower() == ".png" and len(read(path)) == 1 for path in clips):
        raise UserError(f"Each image in {folder} counts as a clip of one frame; put the frames of a clip in a folder.")


def clips_in(folder: Path) -> dict[str, Path]:
    """Finds the clips of a folder, by their names up to the first '.'."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of clips; name one with videos, GIFs, strips or folders of frames.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=natural):
        if (path.suffix.lower() == SUFFIX and path.is_file()) or is_clip(path):
            name = path.name.split(".", 1)[0]
            if (twin := found.setdefault(name, path)) != path:
                raise UserError(f"{twin} and {path.name} have the same name up to the first '.'; rename one.")
    if not found:
        raise UserError(f"{folder} holds no clips; they are videos, GIFs, strips or folders of frames.")
    return found


def load_pretrained(config: EvaluatorsConfig) -> tuple[Evaluators, dict[str, Any]]:
    """Loads the evaluators, and what each records of itself.

    Raises:
        UserError: one that must be trained on a data set, or whose weights or package are not there.
    """
    found: dict[Role, Any] = dict.fromkeys(ROLES)
    records: dict[str, Any] = {}
    for role in ROLES:
        section = config[role]
        if section is not None:
            module, settings = evaluator_module(role, section, f"--{role}")
            if is_trained(module, settings):
                raise UserError(
                    f"--{role} {settings.kind} is trained on a data set, and there is none here; choose among "
                    f"{', '.join(KINDS[role])} one that has weights of its own."
                )
            found[role] = module.train(settings, [], f"--{role}")
            records[role] = found[role].record
    return Evaluators(found["landmarks"], found["identity"]), records


def parse_evaluator(text: str | None) -> dict[str, Any] | None:
    """Reads `dlib68`, or a whole section such as `{kind: dlib68, size: 300}`; None is none."""
    try:
        value = None if text is None else parse_yaml(text)
    except yaml.YAMLError as error:
        raise UserError(f"{text!r} is neither a kind of evaluator nor a section in YAML.") from error
    if value is not None and not isinstance(value, (str, dict)):
        raise UserError(f"{text!r} is neither a kind of evaluator nor a section in YAML.")
    return {"kind": value} if isinstance(value, str) else value


class FrameHashes:
    """A hash over all frames that were compared, on each side."""

    def __init__(self) -> None:
        self.hashes = {"real": hashlib.sha256(), "generated": hashlib.sha256()}

    def add(self, name: str, real: np.ndarray, generated: np.ndarray) -> None:
        for side, frames in (("real", real), ("generated", generated)):
            self.hashes[side].update(f"{name} {frames.shape}".encode() + frames.tobytes())


def _scores(request: Request, pairs: Pairs, evaluators: Evaluators, hashes: FrameHashes) -> Iterator[ClipScores]:
    chosen = [metrics.load(name) for name in available_metrics(dict.fromkeys([*metrics.names(), *request.metrics]))]
    chosen = [
        (metric, scores) for metric, scores in chosen if metric.reconstruction and usable(metric.needs, evaluators)
    ]
    for name, (real_file, made_file) in tqdm(pairs.common.items(), desc="score", unit="clip"):
        real, made = read(real_file), read(made_file)
        made = fitting(made, made_file, real, real_file, request.resize)
        hashes.add(name, real, made)
        theirs, mine = (_scored_clip(frames, evaluators) for frames in (real, made))
        about = {"dataset": request.real.resolve().name, "run": request.generated.resolve().name}
        about |= {"task": "reconstruction", "mode": "", "clip": name, "identity": identity_of(name)}
        for metric, scores in chosen:
            if computable(metric, mine, theirs):
                for protocol, score in scores.items():
                    yield ClipScores(about, metric, protocol, score(mine, theirs))


def usable(needs: tuple[Need, ...], evaluators: Evaluators) -> bool:
    """Frames from elsewhere have neither true joints nor motion."""
    held: dict[str, object] = {"landmarks": evaluators.landmarks, "identity": evaluators.identity}
    return all(held.get(need) is not None for need in needs)


def _scored_clip(frames: UInt8[np.ndarray, "t h w 3"], evaluators: Evaluators) -> ScoredClip:
    features = evaluators(frames)
    return ScoredClip(frames, features.landmarks, features.embedding)


def read(path: Path) -> UInt8[np.ndarray, "t h w 3"]:
    """Reads all frames of a clip in any format."""
    if path.suffix.lower() == SUFFIX:  # one of this project's own
        with ClipFile(path) as clip:
            return clip.frames()
    return read_video(path)[0]


def fitting(
    made: UInt8[np.ndarray, "t h w 3"],
    made_file: Path,
    real: UInt8[np.ndarray, "s H W 3"],
    real_file: Path,
    resize: bool,
) -> UInt8[np.ndarray, "s H W 3"]:
    """The generated frames, if they are as many and as large as the real ones; `resize` makes them as large."""
    if len(made) != len(real):
        raise UserError(f"{made_file} has {len(made)} frames, and {real_file} has {len(real)}; cut or make one anew.")
    (height, width), (wanted_height, wanted_width) = made.shape[1:3], real.shape[1:3]
    if (height, width) == (wanted_height, wanted_width):
        return made
    if not resize:
        raise UserError(
            f"{made_file} is of {width} x {height} px, and {real_file} of {wanted_width} x {wanted_height}; make it of "
            "that size, or say --resize."
        )
    size, filter_ = (wanted_width, wanted_height), Image.Resampling.BICUBIC  # widened by a reduction: no aliasing
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, filter_)) for frame in made])


def _coverage(pairs: Pairs) -> list[str]:
    lines = [f"{len(pairs.common)} of {len(pairs.common) + len(pairs.missing)} real clips are scored."]
    for names, what in ((pairs.missing, "Not generated"), (pairs.unexpected, "Generated without a real clip")):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines.append(f"{what}: {', '.join(names[:SHOWN])}{more}.")
    return lines


def _table(rows: pd.DataFrame) -> list[str]:
    """One line per metric: mean over frames [95 % interval over clips], by protocol, and how many frames count."""
    lines = [("", *PROTOCOLS, "frames")]
    for name, scored in rows.groupby("metric", sort=False):
        metric, _ = metrics.load(str(name))
        found = {
            p: mean(ClipSums.of(scored[scored["protocol"] == p], BOOTSTRAP.unit, AVERAGING[p]), BOOTSTRAP)
            for p in PROTOCOLS
        }
        cells = (_shown(found[protocol], metric, protocol in metric.protocols) for protocol in PROTOCOLS)
        counted = found["strict"].frames if found["strict"] is not None else 0
        lines.append((f"{metric.heading} ({metric.unit.partition(',')[0]})", *cells, str(counted)))
    return aligned(lines)


def _shown(estimate: Estimate | None, metric: Metric, due: bool) -> str:
    if estimate is None:
        return "n/a (no frame counts)" if due else "-"
    return Value(within_range(estimate, metric), metric.decimals).text()


def _codecs(pairs: Pairs) -> dict[str, dict[str, int]]:
    reals, made = zip(*pairs.common.values(), strict=True)
    return {"real": codecs_of(reals), "generated": codecs_of(made)}


def _about(
    request: Request,
    pairs: Pairs,
    records: Mapping[str, Any],
    hashes: FrameHashes,
    codecs: dict[str, dict[str, int]],
    began: float,
) -> dict[str, Any]:
    weights = {name: sha256 for about in records.values() for name, sha256 in about["weights"].items()}
    made = record(
        began,
        parameters={f"{side} frames": digest.hexdigest() for side, digest in hashes.hashes.items()},
        evaluators=weights,
        precision="fp32",
        seed=BOOTSTRAP.seed,
        outside=[*request.metrics, *request.evaluators.kinds],
    )
    covered = {"scored": list(pairs.common), "missing": pairs.missing, "unexpected": pairs.unexpected}
    how = {"codecs": codecs, "evaluators": dict(records), "resized": request.resize}
    return {"clips": covered, **how, "provenance": made}


def _write(out: Path, rows: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Writes the rows, and what made them: into the file, or beside a CSV, which has no place for it."""
    if out.suffix.lower() == ".parquet":
        write_scores(out, rows, about)
        return
    with atomic(out) as draft:
        rows.to_csv(draft, index=False)
    write_json(out.with_suffix(".provenance.json"), about, indent=2)
