"""Runs the stage reconstruct: every test clip from its first frame."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from tpsm.checkpoints.trained import CheckpointRef
from tpsm.config.params import read_inference, read_run
from tpsm.core.files import atomic
from tpsm.core.fingerprint import code_hash, outside_parts
from tpsm.core.layout import Layout
from tpsm.data.manifest import read_manifest
from tpsm.inference.intermediates import write_insides
from tpsm.inference.tasks import L1, OUTPUT, ReconstructClip
from tpsm.jobs.map import Workers, map_clips
from tpsm.jobs.resume import ResumeCache, gather
from tpsm.stages.summary import write_model
from tpsm.stages.take_frames import reconstructions


def reconstruct_run(dataset: str, run: str, workers: Workers = 1) -> None:
    """Reconstructs every test clip from its first frame -> `outputs/<dataset>/<run>/reconstruction/`.

    The folder has the predicted clips, `l1.parquet` (clip, frame, l1 on floats), `model.json` (what made them),
    `rounded_up/<clip>.npz` (one bit per value: where truncating instead of rounding gives one less),
    `insides/<clip>.npz` of a few clips and, where the true motion is known, `motion/<clip>.npz` (in half precision,
    which is exact to 0.02 of 64 pixels). A run that has its frames from a folder has no insides and no motion.
    """
    import pandas as pd  # Here: it takes long to load.

    layout, config, inference = Layout(dataset), read_run(dataset, run), read_inference(dataset)
    out = layout.outputs(run) / "reconstruction"
    model: CheckpointRef | None = None
    if config.frames is None:
        model = CheckpointRef.at(layout.model(run) / "last.pt", config.method)
        model.load()  # a checkpoint that does not fit is named before any clip is begun
    entries = read_manifest(layout.clips).clips("test")
    if config.frames is not None:
        folders, cache = reconstructions(config, config.frames, layout, workers)
    elif model is not None:
        code = code_hash("tpsm", "baselines"), outside_parts([config.method])
        cache = ResumeCache.of("reconstruct", dataset, run, model.sha256, asdict(inference), *code)
        folders = map_clips(
            ReconstructClip(layout.clips, model, cache, inference), entries, workers, f"{run}: reconstruct"
        )

    # The output is put together from the clips' folders.
    gather([folder / OUTPUT for folder in folders], out)
    errors = []
    for entry, folder in zip(entries, folders, strict=True):
        l1 = np.load(folder / L1)
        errors.append(pd.DataFrame({"clip": entry.name, "frame": np.arange(len(l1)), "l1": l1}))
    if model is not None:
        write_insides(model.load(), layout.clips, out / "insides")
    with atomic(out / "l1.parquet") as draft:
        pd.concat(errors, ignore_index=True).to_parquet(draft)
    write_model(out, config, [] if model is None else [model], inference)
    cache.remove()
