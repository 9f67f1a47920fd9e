"""Images from anywhere are read at their true values, frames and times, or refused from their headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tpsm.core.errors import UserError
from tpsm.data.still import frame_numbers, read_image
from tpsm.data.video import iter_video, kind_of, read_video, write_video

RAMP = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (30, 1))


def coloured(count: int, size: int = 24) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.mark.parametrize(
    "values",
    [
        RAMP.astype(np.int32),
        RAMP.astype(np.int32) * 257,
        RAMP.astype(np.uint16) * 257,
        RAMP.astype(np.float32),
        RAMP.astype(np.float32) / 255,
    ],
    ids=["int32 of 8 bits", "int32 of 16 bits", "uint16", "float to 255", "float to 1"],
)
def test_tiffs_of_any_number_show_the_same_image(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / "ramp.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "ramp.tif"), np.repeat(RAMP[..., None], 3, axis=2))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -3.0, 300.0])
def test_a_tiff_whose_values_are_in_no_range_is_refused(tmp_path: Path, odd: float) -> None:
    values = RAMP.astype(np.float32)
    values[3, 4] = odd
    Image.fromarray(values).save(tmp_path / "odd.tif")
    with pytest.raises(UserError, match=r"odd\.tif .*8 or 16 bits"):
        read_image(tmp_path / "odd.tif")


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tif", ".avif", ".GIF"])
def test_images_of_several_frames_are_their_frames(tmp_path: Path, suffix: str) -> None:
    path, images = tmp_path / f"a{suffix}", coloured(5)
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100} if suffix == ".avif" else {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=[50, 50, 50, 50, 300], **options)
    frames, fps = read_video(path)
    assert frames.shape == (5, 24, 24, 3) and kind_of(path, strips=False) == "animation"
    if suffix in (".webp", ".png", ".tif"):
        np.testing.assert_array_equal(frames, np.stack([np.asarray(image) for image in images]))
    assert fps == (25 if suffix == ".tif" else 10)


def test_the_default_image_of_an_animated_png_and_a_thumbnail_in_a_tiff_are_no_frames(tmp_path: Path) -> None:
    images = coloured(4)
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], default_image=True, duration=40)
    np.testing.assert_array_equal(read_video(tmp_path / "a.png")[0], np.stack([np.asarray(i) for i in images[1:]]))
    small = images[1].resize((8, 8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    images[0].save(tmp_path / "a.tif", save_all=True, append_images=[small])
    assert frame_numbers(tmp_path / "a.tif") == [0]


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_an_animation_that_was_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    path, images = tmp_path / name, coloured(6)
    images[0].save(path, save_all=True, append_images=images[1:], duration=40)
    data = path.read_bytes()
    border = data.rindex(b"\x21\xf9\x04") if name == "a.gif" else data.rindex(b"fcTL") - 4 if name == "a.png" else 0
    for end in {border or len(data) // 2, len(data) // 2, len(data) * 9 // 10}:
        path.write_bytes(data[:end])
        with pytest.raises(UserError, match=name):
            list(iter_video(path)[0])


def test_an_image_of_too_many_pixels_is_refused_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (16_000, 16_000)).save(tmp_path / "huge.png")
    data = (tmp_path / "huge.png").read_bytes()
    (tmp_path / "huge.png").write_bytes(data[: len(data) // 2])  # so that decoding it would fail otherwise
    for read in (read_image, lambda path: iter_video(path)):
        with pytest.raises(UserError, match=r"huge\.png .*16000 x 16000.*TPSM_MAX_PIXELS"):
            read(tmp_path / "huge.png")
    coloured(1)[0].save(tmp_path / "small.png")
    assert read_image(tmp_path / "small.png").shape == (24, 24, 3)
    monkeypatch.setenv("TPSM_MAX_PIXELS", "575")
    with pytest.raises(UserError, match="24 x 24"):
        read_image(tmp_path / "small.png")
    monkeypatch.setenv("TPSM_MAX_PIXELS", "lots")
    with pytest.raises(UserError, match="TPSM_MAX_PIXELS"):
        read_image(tmp_path / "small.png")


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".AviF"])
def test_more_suffixes_in_any_case(tmp_path: Path, suffix: str) -> None:
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(flat).save(tmp_path / f"a{suffix}")
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - flat).max() <= 4


def test_what_is_a_strip_is_decided_by_what_says_so(tmp_path: Path) -> None:
    wide = np.asarray(Image.fromarray(np.arange(20 * 40, dtype=np.uint8).reshape(20, 40)).convert("RGB"))
    (tmp_path / "test").mkdir()
    for name in ("photo.png", "a#1.png", "test/photo.png"):
        Image.fromarray(wide).save(tmp_path / name)
    Image.fromarray(wide[:, :30]).save(tmp_path / "b#1.png")  # 3:2
    write_video(tmp_path / "ours.png", [wide[:, :10], wide[:, 10:20], wide[:, 20:30]], 12.5)
    kinds = {str(p.relative_to(tmp_path)): kind_of(p, strips=False) for p in tmp_path.rglob("*.png")}
    assert kinds == {
        "photo.png": "image",
        "b#1.png": "image",
        "a#1.png": "strip",
        "test/photo.png": "strip",
        "ours.png": "strip",
    }
    whole, _ = iter_video(tmp_path / "photo.png", strips=False)
    np.testing.assert_array_equal(np.stack(list(whole)), wide[None])
    assert len(list(iter_video(tmp_path / "photo.png")[0])) == 2, "in a data set it is a strip"
    frames, fps = read_video(tmp_path / "ours.png")
    assert frames.shape == (3, 20, 10, 3) and fps == 12.5


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PCX"])
def test_what_is_no_image_format_of_ours_is_not_decoded_by_its_content(tmp_path: Path, kind: str) -> None:
    """Pillow would start Ghostscript for PostScript, whatever the file is called."""
    path = tmp_path / "named.png"
    Image.new("RGB", (16, 16)).save(path, kind)
    with pytest.raises(UserError, match=r"named\.png cannot be read"):
        read_image(path)
    with pytest.raises(UserError, match=r"named\.png cannot be read"):
        frame_numbers(path)
