"""Runs the stage prepare: writes a data set's raw clips as one lossless file each, and a manifest."""

from __future__ import annotations

from tpsm.core.layout import Layout, raw_folder
from tpsm.core.reading import read_section
from tpsm.core.schema import from_mapping
from tpsm.data.config import DataConfig
from tpsm.data.manifest import Manifest
from tpsm.data.prepare import prepare
from tpsm.data.splits import SplitConfig
from tpsm.jobs.map import Workers


def prepare_dataset(dataset: str, workers: Workers = 1) -> Manifest:
    """Prepares `data/raw/<dataset>` -> `data/clips/<dataset>`, by the split that params.yaml names.

    Raises:
        UserError: a resolved configuration is missing, or a raw clip is unreadable.
    """
    layout = Layout(dataset)
    config = from_mapping(DataConfig, read_section(layout, "data"), f"data.{dataset}")
    split = from_mapping(SplitConfig, read_section(layout, "split"), f"data.{dataset}.split")
    return prepare(dataset, raw_folder(dataset), config, layout.clips, split.read(dataset), workers)
