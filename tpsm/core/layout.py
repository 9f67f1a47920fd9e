"""Where everything lies, relative to the repository, for one data set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tpsm.core.errors import UserError

CLIPS, MODELS, AVDS, OUTPUTS, CONFIGS = (Path(p) for p in ("data/clips", "models", "avd", "outputs", "configs"))
SUFFIX = ".zip"
LONGEST_NAME = 100


def array_file(name: str) -> str:
    """The file of what belongs to the clip `name` and is no clip, named as the clip's is."""
    return Path(file_name(name)).with_suffix(".npz").name


def check_name(name: str, where: str) -> str:
    """The name of a data set or a run, which becomes a folder's, a file's and a part of a DVC stage's.

    Raises:
        UserError: it would be another path, or one that some system refuses; `where` is the option or the key.
    """
    if len(quote(name, safe="", errors="replace")) > LONGEST_NAME:
        raise UserError(
            f"{where} is {name[:40]!r}..., a name of {len(name)} characters; choose one of {LONGEST_NAME} at most, of "
            "which a letter outside A to Z takes several."
        )
    if not re.fullmatch(r"\w[\w.+-]*", name) or name.endswith("."):
        raise UserError(
            f"{where} is {name!r}; a name is of letters, digits and any of _ - + . between them: no blank, no slash."
        )
    return name


@dataclass(frozen=True)
class Layout:
    """Raises UserError where a data set or a run has a name that would lead elsewhere."""

    dataset: str
    root: Path = Path()
    to_publish: bool = False
    """Whether the evaluators are those that were trained to be published."""

    def __post_init__(self) -> None:
        check_name(self.dataset, "The data set")

    @property
    def configs(self) -> Path:
        """What `tpsm configure` resolved."""
        return self.root / CONFIGS / self.dataset

    @property
    def config(self) -> Path:
        return self.configs / "evaluation.yaml"

    @property
    def animate(self) -> Path:
        return self.config.with_name("animate.yaml")

    @property
    def labels(self) -> Path:
        return self.config.with_name("labels.yaml")

    @property
    def seeds(self) -> Path:
        return self.config.with_name("seeds.yaml")

    @property
    def clips(self) -> Path:
        return self.root / CLIPS / self.dataset

    @property
    def evaluators(self) -> Path:
        if self.to_publish:
            return self.root / "trained" / self.dataset / "evaluators"
        return self.root / "evaluators" / self.dataset

    @property
    def published_evaluators(self) -> Path:
        return self.config.with_name("published-evaluators.yaml")

    @property
    def networks(self) -> Path:
        """The evaluators' weights alone: what scores depend on, and no measure or record of them."""
        return self.evaluators / "networks"

    @property
    def features(self) -> Path:
        return self.root / "features" / self.dataset

    @property
    def report(self) -> Path:
        return self.root / "reports" / self.dataset

    @property
    def coverage(self) -> Path:
        return self.report / "coverage.json"

    def model(self, run: str) -> Path:
        return self.root / MODELS / self.dataset / check_name(run, "The run")

    def avd(self, run: str) -> Path:
        return self.root / AVDS / self.dataset / check_name(run, "The run")

    def outputs(self, run: str) -> Path:
        return self.root / OUTPUTS / self.dataset / check_name(run, "The run")

    @property
    def all_scores(self) -> Path:
        return self.root / "scores" / self.dataset

    def scores(self, run: str) -> Path:
        return self.all_scores / f"{check_name(run, 'The run')}.parquet"

    def test_clip(self, name: str) -> Path:
        return self.clips / "test" / file_name(name)

    def has_frames(self, run: str, task: str = "reconstruction") -> bool:
        """Whether the frames that `run` made are here, and the real ones: a reviewer may hold scores alone.

        `task` is reconstruction, or animation/MODE.
        """
        return (self.outputs(run) / task).is_dir() and (self.clips / "test").is_dir()

    def motion(self, run: str, name: str) -> Path:
        """The motion that `run` predicted for the test clip `name`."""
        return self.outputs(run) / "reconstruction" / "motion" / array_file(name)

    def rounded_up(self, run: str, name: str) -> Path:
        """Where rounding went up in the test clip `name` that `run` rebuilt."""
        return self.outputs(run) / "reconstruction" / "rounded_up" / array_file(name)

    def insides(self, run: str, name: str) -> Path:
        """What `run` computed on the way to some frames of the test clip `name`; there for a few clips."""
        return self.outputs(run) / "reconstruction" / "insides" / array_file(name)

    @property
    def page(self) -> Path:
        """What the data set's part of reports/index.html is made from."""
        return self.root / "pages" / self.dataset

    def relative(self, path: Path) -> str:
        """A path as messages name it."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name


def raw_folder(dataset: str) -> Path:
    """Where a data set's raw clips are: put there or linked by hand, or brought by DVC."""
    return Path("data/raw") / dataset


def identity_of(name: str) -> str:
    """What stands before the first '#', or the whole name where there is none."""
    return name.split("#", 1)[0] or name


def pair_name(source: str, driving: str) -> str:
    """What the animation of the clip `source` by `driving` is called: both names, apart by '--'.

    No other pair has the name, for hyphens at a name's ends or beside one another are percent-encoded in it.
    """
    parts = (re.sub(r"%|(?<![^-])-|-(?![^-])", lambda mark: f"%{ord(mark[0]):02X}", name) for name in (source, driving))
    return "--".join(parts)


def pair_parts(pair: str) -> tuple[str, str]:
    """The clips `source` and `driving` of what `pair_name` made."""
    source, _, driving = pair.partition("--")
    return unquote(source), unquote(driving)


def file_name(name: str) -> str:
    """The file of the clip `name`: unusual characters are percent-encoded, so that distinct names stay distinct."""
    safe = re.sub(r"[^\w#@+=,().~ -]|^\.", lambda match: quote(match[0], safe="").replace(".", "%2E"), name)
    return safe + SUFFIX
