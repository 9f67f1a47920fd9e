"""The square that a method sees of an image: what is taken, and that the line about it is true."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut

from tpsm.checkpoints.checkpoint import Fit
from tpsm.core.errors import UserError
from tpsm.show.square import Framing, Square, find_face, parse_crop

SIDES = st.integers(1, 40)


def numbered(height: int, width: int) -> np.ndarray:
    """An image whose pixels say where they are."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)


@given(SIDES, SIDES)
def test_without_a_word_the_middle_square_is_taken_and_what_is_cut_off_is_said(height: int, width: int) -> None:
    image, side = numbered(height, width), min(height, width)
    square = Framing().square(image, "crop")
    assert square is not None
    taken = square.cut(image)
    assert taken.shape == (side, side, 3)
    assert tuple(taken[0, 0, :2]) == ((height - side) // 2, (width - side) // 2)
    said = Framing().described(image, "crop")
    cut = {name: int(number) for number, name in re.findall(r"(\d+) (left|top|right|bottom)", said)}
    assert sum(cut.get(name, 0) for name in ("left", "right")) == width - side
    assert sum(cut.get(name, 0) for name in ("top", "bottom")) == height - side
    assert ("all of it" in said) == (height == width)


@given(SIDES, SIDES)
def test_padding_keeps_every_pixel(height: int, width: int) -> None:
    image, framing = numbered(height, width), Framing(pad=True)
    square = framing.square(image, "stretch")
    assert square is not None
    taken = square.cut(image)
    assert taken.shape[0] == taken.shape[1] == max(height, width)
    np.testing.assert_array_equal(taken[-square.top :][:height, -square.left :][:, :width], image)
    assert set(np.unique(taken[..., 0])) == set(range(height))  # the edge again, and nothing else
    assert "cut off" not in framing.described(image, "stretch")


def test_a_stretched_run_stretches_unless_told_otherwise() -> None:
    image = numbered(10, 30)
    assert Framing().square(image, "stretch") is None
    assert Framing().described(image, "stretch") == "30 x 10 pixels, stretched to a square"
    assert Framing("centre").square(image, "stretch") == Square(10, 0, 10)


def test_a_square_of_numbers_is_that_of_the_image() -> None:
    image = numbered(50, 80)
    framing = Framing(parse_crop("30,10,20")).settled([image], "a.png")
    np.testing.assert_array_equal(framing.apply(image, 20, "stretch"), image[10:30, 30:50])
    assert "square of 20 at 30,10" in framing.described(image, "crop")
    assert "cut off are 30 left, 10 top, 30 right, 20 bottom" in framing.described(image, "crop")


def test_a_square_beyond_the_image_is_refused_or_padded() -> None:
    image, square = numbered(50, 80), parse_crop("70,10,20")
    with pytest.raises(UserError, match=r"70,10,20 .*a\.png of 80 x 50.*--pad"):
        Framing(square).settled([image], "a.png")
    padded = Framing(square, pad=True).settled([image], "a.png")
    assert (padded.apply(image, 20, "crop")[:, 10:] == image[10:30, 79:80]).all()
    assert "repeated for 10 right" in padded.described(image, "crop")
    beyond = Framing(parse_crop("-5,-4,20"), pad=True).settled([image], "a.png").apply(image, 20, "crop")
    np.testing.assert_array_equal(beyond[4:, 5:], image[:16, :15])
    assert (beyond[:, :6] == beyond[:, 5:6]).all()


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_a_square_may_be_written_to(fit: Fit) -> None:
    """PyTorch takes no array that is read-only without a warning."""
    for size in (10, 20):
        assert Framing().apply(numbered(20, 20), size, fit).flags.writeable


@pytest.mark.parametrize("text", ["", "faces", "1,2", "1,2,0", "1,2,-3", "1,2,3,4", "1.5,2,3", "٣,2,3", "1,2,9999999"])
def test_what_is_no_square_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--crop.*face, centre, or X,Y,SIZE"):
        parse_crop(text)


def test_a_face_is_found_with_its_hair_and_shoulders() -> None:
    """Eyes and chin of the astronaut, as seen by eye."""
    square = find_face(astronaut())
    assert square is not None
    for x, y in ((200, 105), (248, 105), (224, 175), (150, 60)):
        assert square.left < x < square.left + square.side and square.top < y < square.top + square.side
    assert 150 <= square.side <= 300


def test_a_face_is_looked_for_until_one_is_seen_and_then_kept() -> None:
    image = astronaut()
    black = np.zeros_like(image)
    framing = Framing("face").settled([black, image, black], "a.mp4")
    square = find_face(image)
    assert square is not None and framing.crop == square.inside(512, 512)
    assert Framing("face", pad=True).settled([image], "a.png").crop == square
    with pytest.raises(UserError, match=r"No face.*a\.mp4.*X,Y,SIZE"):
        Framing("face").settled([black], "a.mp4")


@given(st.integers(-50, 50), st.integers(-50, 50), SIDES, SIDES, SIDES)
def test_a_square_that_is_moved_inside_is_inside(left: int, top: int, side: int, height: int, width: int) -> None:
    moved = Square(left, top, side).inside(height, width)
    assert not moved.reaches_beyond(height, width)
    assert moved.side == min(side, height, width)
    if not Square(left, top, side).reaches_beyond(height, width):
        assert moved == Square(left, top, side)
