"""Published evaluators in the place of training them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.evaluators import Evaluator, EvaluatorModule
from tpsm.core.layout import Layout
from tpsm.core.reading import read_yaml
from tpsm.core.schema import from_mapping
from tpsm.data.manifest import Manifest
from tpsm.published.card import Card, Published, card_of, difference, refuse_other
from tpsm.published.pixels import check_clips


def published_evaluators(layout: Layout) -> dict[str, Published]:
    """Role -> the file that params.yaml says its network is taken from; empty where it names none."""
    path = layout.published_evaluators
    sections = read_yaml(path) if path.is_file() else {}
    return {role: from_mapping(Published, section, f"{path}: {role}") for role, section in sections.items()}


def check_card(published: Published, module: EvaluatorModule, settings: Any) -> tuple[Card, dict[str, Any]]:
    """The card and the weights.

    Raises:
        UserError: they are not there, of another kind, or trained by other settings than these.
    """
    from tpsm.published.weight_file import read_published  # Here: it needs PyTorch.

    card, weights = read_published(published, settings.kind)
    theirs = asdict(from_mapping(module.Config, card.recipe, f"{card_of(Path(published.file))}: recipe"))
    for key, value in asdict(settings).items():
        refuse_other(published.file, difference(key, theirs[key], value))
    return card, weights


def take(
    published: Published, module: EvaluatorModule, settings: Any, manifest: Manifest, clips: Path, out: Path
) -> Evaluator[Any]:
    """Writes the published network to `out`, as training would have, and returns its evaluator.

    Raises:
        UserError: as `check_card`; or it was trained on other clips, or does not fit its kind.
    """
    from tpsm.core.tensors import write_torch  # Here: it needs PyTorch.

    card, weights = check_card(published, module, settings)
    check_clips(card, published.file, manifest, clips)
    evaluator = module.load(settings, Path(published.file))
    write_torch(out, weights)
    return evaluator
