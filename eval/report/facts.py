"""What a report says of its runs and its protocol, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.report.words import listed
from eval.stats.intervals import FEWEST, UNITS
from eval.tables.results import Results

Qualities = Mapping[str, Mapping[str, Any]]
PROTOCOL = (
    "Reconstruction: the first frame of a test clip is the source, and every frame drives. Strict means leave out "
    "frame 0, which repeats the source; legacy ones count it.",
    "Strict metrics read 8-bit frames rounded to the nearest level. Legacy ones read the same frames truncated, and "
    "legacy L1 is taken on floats where the frames are made.",
    "Frames in which evaluators find nothing are left out by both; the table of detection counts them.",
    "Animation: fixed pairs of test clips of different identities; the source is the first frame of one clip, the "
    "other clip drives. Its rows share clips, so its intervals are somewhat narrow.",
    "Evaluators without weights of their own are trained on this data set's training clips, with fixed seeds.",
)


def what_was_run(results: Results, quality: Qualities) -> list[str]:
    manifest = results.manifest
    test = manifest.clips("test")
    frames, identities = sum(entry.frames for entry in test), {entry.identity for entry in test}

    # What is not scored, or not trained here.
    missing = [results.label(run) for run in results.runs if run not in results.scored]
    released = [results.label(run) for run in results.scored if "released" in results.summary(run)]
    pretrained = [str(about["kind"]) for about in quality.values() if "pretrained" in about]
    trained = "Models" if pretrained and len(pretrained) == len(quality) else "Models and evaluators"
    unlike = f" (but for {listed(pretrained)}, pretrained)" if pretrained and trained != "Models" else ""

    # The sentences.
    parts = [
        f"{len(test)} test clips of {len(identities)} identities: {frames:,} frames of {manifest.size} x "
        f"{manifest.size} px. {trained} were trained on the {len(manifest.clips('train'))} training clips{unlike}. "
        + overlap(results),
        f"Scored: {', '.join(results.label(run) for run in results.scored)}.",
        *_schedules(results),
    ]
    if released:
        parts.append(
            f"With weights that the methods' authors released, and not trained here: {', '.join(released)}. These "
            "need not be the weights behind the papers' tables."
        )
    return [*parts, f"Not scored, so n/a below: {', '.join(missing)}."] if missing else parts


def _schedules(results: Results) -> list[str]:
    """How long the runs were trained, and from which seeds: numbers of minutes are read otherwise than of days."""
    known = [summary for run in results.scored if (summary := results.summary(run)).get("steps") is not None]
    if not known:
        return []
    steps, batches, seeds = (sorted({summary[key] for summary in known}) for key in ("steps", "batch", "seed"))
    trained = f"Trained for {_range(steps)} steps of {_range(batches)} pairs"
    if not results.seeds:
        return [f"{trained}, each run once, with the seed {_range(seeds)}."]
    several = listed([results.label(run) for run in results.seeds])
    return [
        f"{trained}; {several} from several seeds ({_range(seeds)}), all other runs from one.",
        "Tables and figures show each method's first seed; the table of seeds shows what another changes.",
    ]


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def overlap(results: Results) -> str:
    """How many of the test identities training has seen, by the manifest."""
    train, test = ({entry.identity for entry in results.manifest.clips(split)} for split in ("train", "test"))
    if shared := train & test:
        return f"{len(shared)} of {len(test)} test identities also occur in training."
    return "No test identity occurs in training."


def reading(results: Results) -> tuple[str, ...]:
    config, bootstrap = results.config, results.bootstrap
    published = (
        ()
        if config.published is None
        else (
            "Published numbers stand beside the legacy protocol, which is the papers'. They come from the papers' "
            "evaluators, and those marked ‡ from another data set. Hold the order of the runs here against the order "
            "of the papers' methods, never one value against the other.",
        )
    )

    # What holds for every report, with this one's settings.
    return (
        "Arrows say which way is better. Every table shows two controls: a copy of the source, which does not animate "
        "at all, and the real frames.",
        "L1, AKD and EPE show whether a run moves the figure. The copy is a real, sharp "
        "frame, which flatters it in MKR and AED.",
        "Strict means are over clips of each clip's mean; legacy ones over all frames, as the papers' program has it.",
        f"Intervals are of 95 %, over {UNITS[bootstrap.unit]}: the wider of Student's and the "
        f"bootstrap-t ({bootstrap.samples:,} resamples), Student's alone below {FEWEST}; simulated with 6, 14 and 30, "
        "they cover 93 to 97 %. They "
        f"speak of new test {UNITS[bootstrap.unit]}, not of another training seed. Two intervals may overlap and the "
        "runs still differ: paired differences decide, and set the bold.",
        "L1 rewards a still background and a blurred figure; AKD and EPE speak of motion, AED of identity. AKD is of "
        "the joints found in both frames: where MKR is high, it leaves out the hardest ones.",
        *published,
    )
