"""Says where every file of one data set lies, relative to the repository."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tpsm.core.errors import UserError

CLIPS, MODELS, AVDS, OUTPUTS, CONFIGS = (Path(p) for p in ("data/clips", "models", "avd", "outputs", "configs"))
SUFFIX = ".zip"
LONGEST_NAME = 100


def array_file(name: str) -> str:
    """Returns the name of the .npz file for arrays that belong to the clip `name`."""
    return Path(file_name(name)).with_suffix(".npz").name


def check_name(name: str, where: str) -> str:
    """Returns `name`, of a data set or a run, if folders, files and DVC stages can be named by it.

    Raises:
        UserError: the name would lead to another path, or some system refuses it; `where` is the option or the key.
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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " (did you mean 'tps'?)", for the message about an unknown `name` of a data set or a run; nothing where
    no known name is near."""
    folded = {other.casefold(): other for other in known if other != name}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean '{folded[near[0]]}'?)" if near else ""


@dataclass(frozen=True)
class Layout:
    """Knows the paths of one data set below `root`.

    Raises:
        UserError: a data set or a run has a name that would lead elsewhere.
    """

    dataset: str
    root: Path = Path()
    to_publish: bool = False
    """Whether `evaluators` are those that were trained to be published."""

    def __post_init__(self) -> None:
        check_name(self.dataset, "The data set")

    @property
    def configs(self) -> Path:
        """The folder of the files that `tpsm configure` resolved."""
        return self.root / CONFIGS / self.dataset

    @property
    def config(self) -> Path:
        """The resolved section `evaluation`."""
        return self.configs / "evaluation.yaml"

    @property
    def animate(self) -> Path:
        """The resolved section `animate`."""
        return self.config.with_name("animate.yaml")

    @property
    def labels(self) -> Path:
        """The label of each run."""
        return self.config.with_name("labels.yaml")

    @property
    def seeds(self) -> Path:
        """The seeds of each run that others repeat."""
        return self.config.with_name("seeds.yaml")

    @property
    def clips(self) -> Path:
        """The folder of the prepared clips and their manifest."""
        return self.root / CLIPS / self.dataset

    @property
    def evaluators(self) -> Path:
        """The folder of the evaluators: networks, training curves and quality."""
        if self.to_publish:
            return self.root / "trained" / self.dataset / "evaluators"
        return self.root / "evaluators" / self.dataset

    @property
    def published_evaluators(self) -> Path:
        """The resolved list of evaluators that are taken from published files."""
        return self.config.with_name("published-evaluators.yaml")

    @property
    def networks(self) -> Path:
        """The folder of the evaluators' weights alone, on which scores depend."""
        return self.evaluators / "networks"

    @property
    def features(self) -> Path:
        """The folder of what the evaluators found in the test clips."""
        return self.root / "features" / self.dataset

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.root / "reports" / self.dataset

    @property
    def coverage(self) -> Path:
        """The record of which clips of the data set are there."""
        return self.report / "coverage.json"

    def model(self, run: str) -> Path:
        """The folder of the weights of `run`."""
        return self.root / MODELS / self.dataset / check_name(run, "The run")

    def avd(self, run: str) -> Path:
        """The folder of the AVD network of `run`."""
        return self.root / AVDS / self.dataset / check_name(run, "The run")

    def outputs(self, run: str) -> Path:
        """The folder of the frames that `run` makes: `reconstruction` and `animation/MODE`."""
        return self.root / OUTPUTS / self.dataset / check_name(run, "The run")

    @property
    def all_scores(self) -> Path:
        """The folder of the scores of all runs."""
        return self.root / "scores" / self.dataset

    def scores(self, run: str) -> Path:
        """The scores of `run`."""
        return self.all_scores / f"{check_name(run, 'The run')}.parquet"

    def test_clip(self, name: str) -> Path:
        """The file of the test clip `name`."""
        return self.clips / "test" / file_name(name)

    def generated(self, run: str, name: str, mode: str = "") -> Path:
        """The file of the test clip `name` as `run` rebuilt it, or of the pair `name` as it animated it in `mode`."""
        return self.outputs(run) / (f"animation/{mode}" if mode else "reconstruction") / file_name(name)

    def has_frames(self, run: str, mode: str = "") -> bool:
        """Whether both the frames that `run` made and the real ones are here: a reviewer may hold the scores alone."""
        return self.generated(run, "", mode).parent.is_dir() and (self.clips / "test").is_dir()

    def motion(self, run: str, name: str) -> Path:
        """The file of the motion that `run` predicted for the test clip `name`."""
        return self.outputs(run) / "reconstruction" / "motion" / array_file(name)

    def rounded_up(self, run: str, name: str) -> Path:
        """The file that says where rounding went up in the test clip `name` as `run` rebuilt it."""
        return self.outputs(run) / "reconstruction" / "rounded_up" / array_file(name)

    def insides(self, run: str, name: str) -> Path:
        """The file of what `run` computed on the way to some frames of the test clip `name`; a few clips have one."""
        return self.outputs(run) / "reconstruction" / "insides" / array_file(name)

    @property
    def page(self) -> Path:
        """The folder from which the data set's part of reports/index.html is made."""
        return self.root / "pages" / self.dataset

    def relative(self, path: Path) -> str:
        """Returns a path as messages name it."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name


def raw_folder(dataset: str) -> Path:
    """Returns the folder of a data set's raw clips: put or linked there by hand, fetched, or brought by DVC."""
    return Path("data/raw") / dataset


def identity_of(name: str) -> str:
    """Returns what stands before the first '#' of a clip's name, or the whole name where there is none."""
    return name.split("#", 1)[0] or name


def pair_name(source: str, driving: str) -> str:
    """Returns the name of the animation of the clip `source` by the clip `driving`: both names, joined by '--'.

    No other pair has this name, because hyphens at a name's ends or beside one another are percent-encoded in it.
    """
    parts = (re.sub(r"%|(?<![^-])-|-(?![^-])", lambda mark: f"%{ord(mark[0]):02X}", name) for name in (source, driving))
    return "--".join(parts)


def pair_parts(pair: str) -> tuple[str, str]:
    """Returns the names of the clips `source` and `driving` from a name that `pair_name` made."""
    source, _, driving = pair.partition("--")
    return unquote(source), unquote(driving)


def file_name(name: str) -> str:
    """Returns the file name of the clip `name`. Unusual characters are percent-encoded, so that names stay distinct."""
    safe = re.sub(r"[^\w#@+=,().~ -]|^\.", lambda match: quote(match[0], safe="").replace(".", "%2E"), name)
    return safe + SUFFIX
