"""A project small enough that a stage of it takes a second, and what two runs of a stage may differ in."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from forked import Outcome, fork, program
from small_pipeline import EVALUATION
from test_stages import PARAMS

ROOT = Path(__file__).parents[2]
RAW = Path("data/raw/drawn")
EVALUATED = {
    "evaluators": {"landmarks": EVALUATION["evaluators"]["landmarks"] | {"size": 64, "steps": 4}},
    "bootstrap": {"samples": 200},
    "figures": EVALUATION["figures"],
    "tables": {"reconstruction": ["tps"], "animation": ["tps"], "k_ablation": ["tps"]},
}
SUBJECT = PARAMS | {
    "runs": ["tps"],
    "run": {"tps": PARAMS["run"]["tps"]},
    "more": {"datasets": [], "runs": []},
    "animate": {"datasets": ["drawn"], "runs": ["tps"], "avd": ["tps"], "pairs": 2},
    "evaluation": {"drawn": EVALUATED},
}
OF = ("--dataset", "drawn")
TPS = (*OF, "--run", "tps")
STAGES: dict[str, tuple[str, ...]] = {
    "outside": ("tpsm", "outside"),
    "configure": ("tpsm", "configure"),
    "prepare": ("tpsm", "prepare", *OF),
    "coverage": ("eval", "coverage", *OF),
    "evaluators": ("eval", "evaluators", *OF),
    "features": ("eval", "features", *OF),
    "train": ("tpsm", "train", *TPS),
    "train-avd": ("tpsm", "train-avd", *TPS),
    "reconstruct": ("tpsm", "reconstruct", *TPS),
    "animate": ("tpsm", "animate-pairs", *TPS, "--mode", "standard", "--mode", "relative"),
    "animate-avd": ("tpsm", "animate-pairs", *TPS, "--mode", "avd"),
    "score": ("eval", "score", *TPS),
    "control": ("eval", "score", *OF, "--run", "copy-source"),
    "report": ("eval", "report", *OF),
    "page": ("eval", "page"),
}
"""In their order; each with its command."""
TIMES = re.compile(
    rb"\d+(\.\d+)? (s|seconds|min)\b|commit [0-9a-f]{12}( and changes that it lacks)?"
    rb"|; some after an interruption, the time before which is not counted"
    rb"|(?<=>)(\d+(\.\d+)?|True|False|[0-9a-f]{40})(?=<)"  # numbers of index.html, which content.json has too
    rb"|(?<=&#34;)(seconds|resumed|commit|changed)&#34;: [^,\n]*"
)
"""What a page says of them, and of what is left out of records."""


def make_whole(folder: Path, until: str | None = None) -> Path:
    """`folder/whole`, a project after every stage before `until`, and in `folder/before` a copy of it before each one,
    that included. What an earlier call made in the same folder is taken again."""
    whole, log, done = folder / "whole", folder / "log", folder / "done"
    if not done.exists():
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        expect(fork(partial(begin, whole), whole, log), "the raw clips")
        done.write_text("")
    for stage, command in STAGES.items():
        undone = stage not in done.read_text().split()
        if undone:
            copy(whole, folder / "before" / stage)
        if stage == until:
            break
        if undone:
            outcome = fork(partial(program, command), whole, log)
            expect(outcome, stage)
            print(f"{stage}: {outcome.seconds:.1f} s", flush=True)
            done.write_text(f"{done.read_text()} {stage}")
    return whole


def expect(outcome: Outcome, what: str) -> None:
    """Ends the whole program where something fails that nothing disturbs."""
    if outcome.status != 0:
        raise SystemExit(f"{what} fails even undisturbed ({outcome.status}):\n{outcome.output[-2000:]}")


def begin(folder: Path) -> int:
    """Parameters and raw clips, and no more. Computes, so it belongs into a fork."""
    from tpsm.sources.puppets.generate import synthesize

    (folder / "params.yaml").write_text(yaml.safe_dump(SUBJECT))
    size: dict[str, Any] = {"size": 64, "train_identities": 3, "test_identities": 2, "clips_per_identity": 2}
    synthesize(folder / RAW, **size, frames=4, seed=1)
    return 0


def results(folder: Path) -> dict[str, bytes]:
    """What a project's stages have written, by file, without the seconds that it took, whether it was
    resumed, and which commit of the code was checked out.

    Drafts are among them; `.work` is not, nor what DVC keeps for itself.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith((".work/", ".dvc", "dvc.", "counter")):
            found[name] = without_times(path)
    return found


def without_times(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        about = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"tpsm"}
        own = json.loads((table.schema.metadata or {}).get(b"tpsm", b"null"))
        return repr((table.to_pydict(), about, _timeless(own))).encode()
    if path.suffix == ".json" and b'"seconds"' in content:
        return json.dumps(_timeless(json.loads(content))).encode()
    if path.suffix in (".md", ".html"):
        return TIMES.sub(b"", content)
    return content


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in ("seconds", "resumed", "code")}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def copy(source: Path, target: Path) -> Path:
    """A copy of a project, in the place of what was there."""
    shutil.rmtree(target, ignore_errors=True)
    return shutil.copytree(source, target, symlinks=True)


def differences(whole: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names of files, each with what is wrong."""
    missing = [f"{name} is missing" for name in whole.keys() - other.keys()]
    left = [f"{name} is left behind" for name in other.keys() - whole.keys()]
    return sorted(
        [*missing, *left, *(f"{name} differs" for name in whole.keys() & other.keys() if whole[name] != other[name])]
    )
