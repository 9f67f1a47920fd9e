"""The videos of the page: some test clips and animated pairs, the same for every run and mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from eval.config import VideosConfig
from eval.report.difficulty import animated, ranked_clips, ranked_pairs
from eval.scoring.pairs import common_pairs
from eval.tables.results import Results, Series
from eval.tables.table import number
from eval.web.shown import Group, Video
from eval.web.strips import chosen_frames, write_strip
from tpsm.data.clip import ClipFile, read_frames


def write_videos(results: Results) -> list[Group]:
    """Strips into `pages/<data set>/`, and what the page must know of them."""
    return [*_reconstruction(results), *_animation(results)]


def _reconstruction(results: Results) -> Iterator[Group]:
    layout, config, main = results.layout, results.config.videos, results.config.tables.reconstruction
    runs = [run for run in results.config.tables.runs() if run in results.scored and layout.has_frames(run)]
    ranked = ranked_clips(results)

    # For each clip shown: the real one, and every run's.
    for clip in ranked.shown if runs else ():
        real = layout.test_clip(clip)
        writer = StripWriter(layout.page, f"reconstruction-{ranked.order.index(clip):03d}", real, config)
        videos = [Video("real", writer.write("real", real))]
        videos += [
            Video(
                results.label(run),
                writer.write(run, layout.generated(run, clip)),
                method=method_of(results, run),
                mode="reconstruction",
                main=run in main,
                values=_values(results, Series(run, protocol=results.protocol), clip),
            )
            for run in runs
        ]
        yield writer.group(clip, ranked.note(clip, "test clips"), "reconstruction", 1, videos)


def _animation(results: Results) -> Iterator[Group]:
    layout, config = results.layout, results.config.videos
    series, ranked = animated(results), ranked_pairs(results)
    if not ranked.shown:
        return

    # For each pair shown: source, driving clip, and every series'.
    about = common_pairs(layout, [series[0].run], series[0].mode).set_index("pair")
    for pair in ranked.shown:
        names = [str(about.loc[pair, end]) for end in ("source", "driving")]
        source, driving = map(layout.test_clip, names)
        writer = StripWriter(layout.page, f"animation-{ranked.order.index(pair):03d}", driving, config)
        videos = [Video("source", writer.still(source)), Video("driving", writer.write("driving", driving))]
        videos += [
            Video(
                f"{results.label(one.run)}, {one.mode}",
                writer.write(f"{one.run}-{one.mode}", layout.generated(one.run, pair, one.mode)),
                method=method_of(results, one.run),
                mode=one.mode,
                values=_values(results, one, pair),
            )
            for one in series
        ]
        title = " moved by ".join(names)
        yield writer.group(title, ranked.note(pair, "pairs"), "animation", 2, videos)


class StripWriter:
    """Strips of one group: the same frames of every clip."""

    def __init__(self, folder: Path, group: str, reference: Path, config: VideosConfig) -> None:
        self.folder, self.name, self.config = folder, group, config
        with ClipFile(reference) as clip:
            self.length, self.fps = len(clip), clip.fps
        self.which = chosen_frames(self.length, config)
        self.size = (0, 0)

    def write(self, name: str, path: Path) -> str:
        strip = f"{self.name}-{name}.webp"
        self.size = write_strip(self.folder / strip, read_frames(path, self.which), self.config)
        return strip

    def still(self, path: Path) -> str:
        """The first frame of another clip, all the time."""
        strip = f"{self.name}-source.webp"
        write_strip(self.folder / strip, read_frames(path, [0]), self.config)
        return strip

    def group(self, title: str, note: str, task: str, given: int, videos: Sequence[Video]) -> Group:
        step = self.which[1] - self.which[0] if len(self.which) > 1 else 1
        if step > 1:
            note += f"; every {step}. frame of {self.length}"
        width, height = self.size
        return Group(title, note, task, len(self.which), self.fps / step, width, height, given, tuple(videos))


def method_of(results: Results, run: str) -> str:
    """The title of the run's method; '' where nothing is known of the run."""
    method = results.summary(run).get("method")
    return results.method_title(str(method)) if method else ""


def _values(results: Results, series: Series, clip: str) -> tuple[tuple[str, str], ...]:
    shown = []
    for metric in results.metrics.values():
        values = results.by_clip(series, metric.name)
        if clip in values.index and not metric.detection:
            shown.append((metric.title, number(float(values[clip]), metric.decimals)))
    return tuple(shown)
