"""Draws puppets: parts as signed distances with paint on them, composed from back to front.

A part is painted in its own coordinates (see `body.pose`), so that it moves as a whole. Negative distances are
inside. Edges are as soft as one pixel, which is the anti-aliasing.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from tpsm.sources.puppets.body import DRAW_ORDER, PARTS, Proportions, random_proportions

Colour = Float[np.ndarray, "3"]
Points = Float[np.ndarray, " n"]

_SKIN = ("#f2c9a1", "#e0a878", "#b97a4b", "#8a5533", "#ffd9b8", "#9ccf7a", "#86c5e8", "#f4a6bd", "#c9a4e4", "#f3d35b")
_HAIR = ("#2f2326", "#6b3a1e", "#b5651d", "#e8b33c", "#c4412b", "#5b4a9c", "#2d6a6a", "#8f8f98")
_PATTERNS = ("stripes", "columns", "dots", "checks", "plain")
_HEADWEAR = ("bowl", "tuft", "long", "cap", "top hat", "beanie", "bear", "bunny", "party hat")
_OUTLINE = 0.02
_INK = 0.42
_SHADE = 0.62
_STEP = 4  # 64 tones per channel: not seen at this size, and less than half as large on disk as 256
# A brick's height and width, how far its lightness may differ, and the mortar's half-width and darkness.
_BRICK = (0.32, 0.52)
_BRICK_CONTRAST = 0.13
_MORTAR = (0.014, 0.1)


@dataclass(frozen=True)
class Look:
    """Everything by which a puppet is recognised."""

    body: Proportions
    skin: Colour
    hair: Colour
    shirt: Colour
    trim: Colour
    trousers: Colour
    shoe: Colour
    hat: Colour
    pattern: str
    leg_pattern: str
    headwear: str
    emblem: str
    sleeves: bool
    gaze: float
    face: tuple[float, float, float]


@dataclass(frozen=True)
class Backdrop:
    """A wall and a floor of two colours each, built of bricks, with soft round spots of paint on the wall.

    `bricks` is the lightness of each brick, in [-1, 1]. No two neighbours look alike, so that the camera's motion can
    be seen.
    """

    colours: Float[np.ndarray, "4 3"]
    horizon: float
    spots: Float[np.ndarray, "s 3"]
    spot_colours: Float[np.ndarray, "s 3"]
    bricks: Float[np.ndarray, "rows columns"]


def _hex(text: str) -> Colour:
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def random_look(rng: np.random.Generator) -> Look:
    """Draws a look whose shirt and trousers differ in hue."""
    hue = rng.uniform()
    other = hue + rng.uniform(0.25, 0.75)
    return Look(
        body=random_proportions(rng),
        skin=_hex(str(rng.choice(_SKIN))),
        hair=_hex(str(rng.choice(_HAIR))),
        shirt=_hsv(hue, rng.uniform(0.65, 0.9), rng.uniform(0.7, 0.95)),
        trim=_hsv(hue + rng.uniform(0.08, 0.5), rng.uniform(0.15, 0.7), rng.uniform(0.85, 1.0)),
        trousers=_hsv(other, rng.uniform(0.5, 0.85), rng.uniform(0.45, 0.85)),
        shoe=_hsv(rng.uniform(), 0.6, rng.uniform(0.3, 0.75)),
        hat=_hsv(other + rng.uniform(-0.15, 0.15), 0.75, rng.uniform(0.6, 0.95)),
        pattern=str(rng.choice(_PATTERNS[:4])),
        leg_pattern=str(rng.choice(_PATTERNS, p=[0.25, 0.1, 0.1, 0.1, 0.45])),
        headwear=str(rng.choice(_HEADWEAR)),
        emblem=str(rng.choice(["none", "disc", "heart", "buttons"])),
        sleeves=bool(rng.uniform() < 0.5),
        gaze=float(rng.choice([-1.0, 1.0])) * rng.uniform(0.05, 0.18),
        face=(rng.uniform(0.9, 1.15), rng.uniform(0.16, 0.24), rng.uniform(0.2, 0.8)),
    )


def random_backdrop(rng: np.random.Generator) -> Backdrop:
    """Draws a pale backdrop, before which the puppet stands out."""
    hue, floor = rng.uniform(size=2)
    count = 7
    return Backdrop(
        colours=np.stack(
            [
                _hsv(hue, rng.uniform(0.2, 0.4), 0.93),
                _hsv(hue + rng.uniform(-0.15, 0.15), rng.uniform(0.08, 0.2), 1.0),
                _hsv(floor, rng.uniform(0.2, 0.4), 0.74),
                _hsv(floor + 0.05, rng.uniform(0.2, 0.4), 0.86),
            ]
        ),
        horizon=rng.uniform(0.45, 0.7),
        spots=np.stack(
            [rng.uniform(-1.6, 1.6, count), rng.uniform(-1.3, 0.6, count), rng.uniform(0.12, 0.4, count)], axis=-1
        ),
        spot_colours=np.stack([_hsv(hue + rng.uniform(-0.2, 0.2), rng.uniform(0.1, 0.42), 0.96) for _ in range(count)]),
        bricks=rng.uniform(-1, 1, (16, 16)),
    )


def _circle(x: Points, y: Points, radius: float) -> Points:
    return np.hypot(x, y) - radius


def _ellipse(x: Points, y: Points, a: float, b: float) -> Points:
    """Returns a distance that is exact at the rim to first order: the implicit function over its gradient's length."""
    value = np.hypot(x / a, y / b)
    slope = np.hypot(x / a**2, y / b**2) / np.maximum(value, 1e-9)
    return (value - 1) / np.maximum(slope, 1e-9)


def _box(x: Points, y: Points, a: float, b: float, corner: float = 0.0) -> Points:
    dx, dy = np.abs(x) - a + corner, np.abs(y) - b + corner
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - corner


def _limb(x: Points, y: Points, length: float, start: float, end: float) -> Points:
    along = np.clip(y / length, 0, 1)
    return np.hypot(x, y - along * length) - (start + (end - start) * along)


def _triangle(x: Points, y: Points, half: float, height: float) -> Points:
    """Returns the distance of a triangle with its base on y = 0 and its tip at y = -height."""
    slant = np.hypot(height, half)
    return np.maximum(y, (np.abs(x) * height - y * half) / slant - half * height / slant)


class _Canvas:
    """Paints points over and over; what is outside of everything solid stays transparent."""

    def __init__(self, count: int, softness: float) -> None:
        self.colour = np.zeros((count, 3))
        self.inside = np.full(count, np.inf)
        self.softness = softness

    def cover(self, distance: Points) -> Points:
        return np.clip(0.5 - distance / self.softness, 0, 1)

    def solid(self, distance: Points, colour: Colour | Float[np.ndarray, "n 3"]) -> None:
        """Adds a shape to the silhouette, with a dark rim."""
        rim = self.cover(distance + _OUTLINE)[:, None]
        self._blend(self.cover(distance), (rim + (1 - rim) * _INK) * colour)
        self.inside = np.minimum(self.inside, distance)

    def paint(self, distance: Points, colour: Colour | Float[np.ndarray, "n 3"]) -> None:
        """Colours a region without adding to the silhouette."""
        self._blend(self.cover(distance), colour)

    def _blend(self, weight: Points, colour: Colour | Float[np.ndarray, "n 3"]) -> None:
        self.colour += weight[:, None] * (colour - self.colour)


def _cloth(pattern: str, x: Points, y: Points, base: Colour, trim: Colour, pitch: float) -> Float[np.ndarray, "n 3"]:
    """Returns the colours of a pattern with soft edges, `pitch` from one repetition to the next."""
    u, v = np.cos(2 * np.pi * x / pitch), np.cos(2 * np.pi * y / pitch)
    ripple = {"stripes": v, "columns": u, "dots": u + v - 0.9, "checks": u * v, "plain": np.full_like(x, -9.0)}[pattern]
    share = 0.5 + 0.5 * np.tanh(3 * ripple)
    return base + share[:, None] * (trim - base)


def _paint_torso(look: Look, canvas: _Canvas, x: Points, y: Points) -> None:
    # The neck, then the shirt, which narrows towards the hips, and the belt.
    body = look.body
    canvas.solid(_limb(x, y + body.torso, 0.09, 0.055, 0.055), look.skin)
    high, low = -body.torso + 0.015, 0.05
    middle, half = (high + low) / 2, (low - high) / 2
    share = np.clip((y - high) / (low - high), 0, 1)
    width = body.shoulder + 0.045 + (body.hip + 0.05 - body.shoulder - 0.02) * share
    shape = _box(x / width * 0.2, y - middle, 0.2, half, 0.07) * 0.95
    cloth = _cloth(look.pattern, x, y, look.shirt, look.trim, 0.2)
    cloth = cloth * (1.06 - 0.22 * np.abs(x / width) ** 2)[:, None]
    canvas.solid(shape, cloth)
    belt = np.maximum(-0.055 - y, shape + _OUTLINE)
    canvas.paint(belt, look.trousers)

    # The emblem.
    chest = -0.62 * body.torso
    if look.emblem == "disc":
        canvas.paint(_circle(x, y - chest, 0.085), look.trim * 0.3)
        canvas.paint(_circle(x, y - chest, 0.06), look.hat)
    elif look.emblem == "heart":
        lobes = np.minimum(_circle(x - 0.038, y - chest + 0.03, 0.05), _circle(x + 0.038, y - chest + 0.03, 0.05))
        heart = np.minimum(lobes, _triangle(x, -(y - chest + 0.012), 0.085, 0.1))
        canvas.paint(heart, np.array([0.93, 0.2, 0.27]))
    elif look.emblem == "buttons":
        for step in (-0.12, 0.0, 0.12):
            canvas.paint(_circle(x, y - chest - step, 0.032), look.trim * 0.25)


def _paint_head(look: Look, canvas: _Canvas, x: Points, y: Points) -> None:
    radius = look.body.head
    wide = radius * look.face[0]
    y = y + radius  # from here on, the skull's centre is the origin

    # Hair and ears behind the head.
    kind = look.headwear
    ear = 0.42 * radius
    if kind == "long":
        canvas.solid(_box(x, y - 0.35 * radius, 1.12 * wide, 1.1 * radius, 0.6 * radius), look.hair)
    if kind == "bear":
        for side in (-1, 1):
            canvas.solid(_circle(x - side * 0.72 * wide, y + 0.75 * radius, ear), look.skin)
            canvas.paint(_circle(x - side * 0.72 * wide, y + 0.75 * radius, 0.5 * ear), look.trim)
    if kind == "bunny":
        for side in (-1, 1):
            u, v = x - side * 0.42 * wide, y + 1.25 * radius
            canvas.solid(_ellipse(u, v, 0.24 * radius, 0.7 * radius), look.skin)
            canvas.paint(_ellipse(u, v, 0.1 * radius, 0.45 * radius), look.trim)
    if kind == "tuft":
        for turn in (-0.5, 0.0, 0.5):
            u, v = x - turn * radius, y + (1.05 - 0.35 * turn**2) * radius
            canvas.solid(_ellipse(u, v, 0.26 * radius, 0.42 * radius), look.hair)

    # The face: cheeks, eyes, mouth and nose, turned to one side.
    skull = _ellipse(x, y, wide, radius)
    glow = 1.04 - 0.12 * np.clip((x / wide) ** 2 + (y / radius) ** 2, 0, 1)
    canvas.solid(skull, glow[:, None] * look.skin)
    shift = look.gaze * wide
    rosy = 0.55 * look.skin + 0.45 * np.array([0.95, 0.35, 0.35])
    for side in (-1, 1):
        canvas.paint(_ellipse(x - shift - side * 0.55 * wide, y - 0.3 * radius, 0.2 * wide, 0.13 * radius), rosy)
        u, v = x - shift - side * 0.4 * wide, y + 0.02 * radius
        canvas.paint(_ellipse(u, v, 1.15 * look.face[1] * radius, 1.4 * look.face[1] * radius), np.full(3, 0.98))
        canvas.paint(_circle(u - 0.4 * shift, v, 0.75 * look.face[1] * radius), np.array([0.1, 0.08, 0.12]))
    smile = np.abs(_circle(x - shift, y - 0.26 * radius, 0.38 * radius)) - 0.06 * radius
    corners = (0.26 + 0.38 * look.face[2]) * radius
    canvas.paint(np.maximum(np.maximum(smile, corners - y), skull + _OUTLINE), np.array([0.62, 0.12, 0.16]))
    canvas.paint(_circle(x - 1.5 * shift, y - 0.27 * radius, 0.12 * radius), look.skin * 0.72)

    # Hair or hat upon the head.
    brow = y + 0.36 * radius
    if kind in ("bowl", "long"):
        canvas.paint(np.maximum(skull + 0.008, brow + 0.12 * np.cos(3 * x / wide) * radius), look.hair)
    elif kind == "cap":
        canvas.solid(np.maximum(_ellipse(x, y, 1.06 * wide, 1.1 * radius), brow), look.hat)
        peak = np.sign(look.gaze) * 0.75 * wide
        canvas.solid(_box(x - peak, brow + 0.04, 0.7 * wide, 0.14 * radius, 0.13 * radius), look.hat * 0.8)
    elif kind == "top hat":
        canvas.solid(_box(x, y + 1.12 * radius, 0.68 * wide, 0.62 * radius, 0.04), look.hat * 0.75)
        canvas.paint(_box(x, y + 0.8 * radius, 0.62 * wide, 0.13 * radius), look.trim)
        canvas.solid(_box(x, y + 0.58 * radius, 1.1 * wide, 0.13 * radius, 0.1 * radius), look.hat * 0.75)
    elif kind == "beanie":
        canvas.solid(_circle(x, y + 1.28 * radius, 0.3 * radius), look.trim)
        canvas.solid(np.maximum(_ellipse(x, y, 1.06 * wide, 1.14 * radius), brow), look.hat)
        canvas.solid(_box(x, brow + 0.03, 1.04 * wide, 0.17 * radius, 0.15 * radius), look.trim)
    elif kind == "party hat":
        u, v = x, y + 0.62 * radius
        hat = _cloth("stripes", u, v + 0.6 * u, look.hat, look.trim, 0.6 * radius)
        canvas.solid(_triangle(u, v, 0.75 * wide, 1.25 * radius), hat)
        canvas.solid(_circle(u, v + 1.25 * radius, 0.2 * radius), look.trim)


def _paint_limb(look: Look, canvas: _Canvas, x: Points, y: Points, part: str) -> None:
    # Sleeves, hands, trousers and shoes.
    body = look.body
    side = -1.0 if part.startswith("right") else 1.0
    arm, leg = body.arm_width, body.leg_width
    if part.endswith("upper arm"):
        cloth = _cloth(look.pattern, x, y, look.shirt, look.trim, 0.2)
        canvas.solid(_limb(x, y, body.upper_arm, arm * 1.1, arm), cloth)
    elif part.endswith("forearm"):
        canvas.solid(_limb(x, y, body.forearm, arm, arm * 0.85), look.shirt if look.sleeves else look.skin)
        canvas.solid(_circle(x, y - body.forearm, arm * 1.3), look.skin)
        if look.sleeves:
            canvas.paint(_box(x, y - 0.66 * body.forearm, 0.8 * arm, 0.024), look.trim)
    elif part.endswith("thigh"):
        cloth = _cloth(look.leg_pattern, x, y, look.trousers, look.trim, 0.2)
        canvas.solid(_limb(x, y, body.thigh, leg * 1.12, leg), cloth)
    else:
        cloth = _cloth(look.leg_pattern, x, y, look.trousers, look.trim, 0.2)
        canvas.solid(_limb(x, y, body.shin, leg, leg * 0.82), cloth)
        canvas.solid(_ellipse(x - side * 0.045, y - body.shin - 0.015, leg * 1.75, leg * 1.0), look.shoe)

    # The pin of the joint; limbs behind the torso lie in its shade.
    if not part.endswith("thigh"):
        canvas.paint(_circle(x, y, 0.026), np.array([0.98, 0.86, 0.45]))
    if part.startswith("left"):
        canvas.colour *= _SHADE


def _reach(look: Look, part: str) -> tuple[float, float]:
    """Returns a circle around the part: its centre's y, and its radius."""
    body = look.body
    if part == "torso":
        return -body.torso / 2, body.torso / 2 + 0.25
    if part == "head":
        return -1.5 * body.head, 2.4 * body.head
    length = {"upper arm": body.upper_arm, "forearm": body.forearm, "thigh": body.thigh, "shin": body.shin}[
        part.split(" ", 1)[1]
    ]
    return length / 2, length / 2 + 0.2


def _paint_backdrop(scene: Backdrop, x: Points, y: Points) -> Float[np.ndarray, "n 3"]:
    top, low, near, far = scene.colours
    sky = np.clip((y + 1.2) / (scene.horizon + 1.2), 0, 1)[:, None]
    colour = top + sky * (low - top)
    for (u, v, radius), tint in zip(scene.spots, scene.spot_colours, strict=True):
        share = 0.75 / (1 + np.exp(np.clip((np.hypot(x - u, y - v) - radius) / 0.025, -30, 30)))
        colour += share[:, None] * (tint - colour)
    depth = np.clip((y - scene.horizon) / 0.6, 0, 1)[:, None]
    floor = far + depth * (near - far)
    share = 1 / (1 + np.exp(-np.clip((y - scene.horizon) / 0.015, -30, 30)))
    return (colour + share[:, None] * (floor - colour)) * _brickwork(scene.bricks, x, y)[:, None]


def _brickwork(bricks: Float[np.ndarray, "rows columns"], x: Points, y: Points) -> Points:
    """Returns the lightness of a running bond: every other course is shifted by half a brick; mortar lies between."""
    height, width = _BRICK
    rows, columns = bricks.shape
    course = np.floor(y / height)
    along = x / width + 0.5 * (course % 2)
    number = np.floor(along)
    lightness = _BRICK_CONTRAST * bricks[course.astype(int) % rows, number.astype(int) % columns]

    # The distance to the nearest edge of the brick, in units of the scene.
    across, up = along - number, y / height - course
    edge = np.minimum(np.minimum(across, 1 - across) * width, np.minimum(up, 1 - up) * height)
    half, darkness = _MORTAR
    mortar = 1 / (1 + np.exp(np.clip((edge - half) / 0.01, -30, 30)))
    return 1 + lightness * (1 - mortar) - darkness * mortar


def render(
    look: Look, scene: Backdrop, matrices: Float[np.ndarray, "t p 2 3"], size: int
) -> tuple[UInt8[np.ndarray, "t h w 3"], UInt8[np.ndarray, "t h w"]]:
    """Draws the frames of a puppet, and returns them with the topmost part of every pixel."""
    frames, pixel = len(matrices), 2 / (size - 1)
    axis = np.linspace(-1, 1, size)
    grid = np.stack([*np.meshgrid(axis, axis), np.ones((size, size))], axis=-1)
    picture = np.zeros((frames, size, size, 3))
    labels = np.zeros((frames, size, size), np.uint8)
    for index in DRAW_ORDER:
        # Every pixel in the coordinates of the part.
        square = np.concatenate([matrices[:, index], np.broadcast_to([[[0.0, 0, 1]]], (frames, 1, 3))], axis=1)
        inverse = np.linalg.inv(square)[:, :2]
        local = np.einsum("tij,hwj->thwi", inverse, grid)
        part = PARTS[index]

        # The backdrop fills the image.
        if index == 0:
            flat = local.reshape(-1, 2)
            picture = _paint_backdrop(scene, flat[:, 0], flat[:, 1]).reshape(picture.shape)
            continue

        # A part is painted where it can reach, over what lies behind it.
        centre, radius = _reach(look, part)
        near = np.hypot(local[..., 0], local[..., 1] - centre) < radius
        x, y = local[near].T
        canvas = _Canvas(len(x), pixel)
        if part == "torso":
            _paint_torso(look, canvas, x, y)
        elif part == "head":
            _paint_head(look, canvas, x, y)
        else:
            _paint_limb(look, canvas, x, y, part)
        weight = canvas.cover(canvas.inside)
        picture[near] += weight[:, None] * (canvas.colour - picture[near])
        labels[near] = np.where(weight > 0.5, index, labels[near])
    return np.rint(picture.clip(0, 1) * (255 // _STEP)).astype(np.uint8) * _STEP, labels
