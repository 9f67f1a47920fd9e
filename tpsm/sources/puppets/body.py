"""Builds puppets and moves them: proportions, joints, and smooth random acts.

Lengths are in units of half the image's side; angles in radians, from the vertical. A puppet faces the viewer, so
that its right side is on the image's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SIDES = ("left", "right")
PARTS = (
    "background",
    "torso",
    "head",
    *(f"{side} {part}" for side in SIDES for part in ("upper arm", "forearm", "thigh", "shin")),
)
# Back to front: the left limbs pass behind the torso, the right ones before it.
DRAW_ORDER = tuple(
    PARTS.index(part)
    for part in (
        *("background", "left upper arm", "left forearm", "left shin", "left thigh", "torso"),
        *("right shin", "right thigh", "head", "right upper arm", "right forearm"),
    )
)
JOINTS = (
    "head",
    "neck",
    "pelvis",
    *(f"{side} {joint}" for side in SIDES for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")),
)
_CARRIERS = {
    "head": ("head",),
    "neck": ("torso", "head"),
    "pelvis": ("torso",),
    "shoulder": ("upper arm", "torso"),
    "elbow": ("upper arm", "forearm"),
    "wrist": ("forearm",),
    "hip": ("thigh", "torso"),
    "knee": ("thigh", "shin"),
    "ankle": ("shin",),
}


def carriers(joint: str) -> tuple[int, ...]:
    """Returns the indices of the parts that meet in `joint`, which counts as visible where one of them is topmost."""
    side, _, bare = joint.rpartition(" ")
    names = (f"{side} {part}".strip() for part in _CARRIERS[bare])
    return tuple(PARTS.index(name if name in PARTS else name.removeprefix(f"{side} ")) for name in names)


@dataclass(frozen=True)
class Proportions:
    """The lengths of the parts in half images; widths are half-widths."""

    torso: float
    shoulder: float
    hip: float
    head: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    arm_width: float
    leg_width: float


def random_proportions(rng: np.random.Generator) -> Proportions:
    """Draws a figure 1.55 to 1.7 units tall (78 to 85 % of the image), without hat and ears."""
    leg, torso, head = rng.uniform(0.58, 0.74), rng.uniform(0.44, 0.56), rng.uniform(0.21, 0.26)
    scale = rng.uniform(1.55, 1.7) / (leg + torso + 2 * head + 0.08)
    knee, elbow = rng.uniform(0.48, 0.56), rng.uniform(0.48, 0.54)
    arm = rng.uniform(0.48, 0.58)
    shoulder = rng.uniform(0.165, 0.22)
    return Proportions(
        torso=scale * torso,
        shoulder=scale * shoulder,
        hip=scale * shoulder * rng.uniform(0.55, 0.75),
        head=scale * head,
        upper_arm=scale * arm * elbow,
        forearm=scale * arm * (1 - elbow),
        thigh=scale * leg * knee,
        shin=scale * leg * (1 - knee),
        arm_width=rng.uniform(0.056, 0.074),
        leg_width=rng.uniform(0.07, 0.09),
    )


@dataclass(frozen=True)
class Act:
    """One pose per frame. Shoulders and hips open outwards, elbows bend upwards, knees inwards (left, right)."""

    place: Float[np.ndarray, " t"]
    jump: Float[np.ndarray, " t"]
    lean: Float[np.ndarray, " t"]
    turn: Float[np.ndarray, " t"]
    nod: Float[np.ndarray, " t"]
    shoulder: Float[np.ndarray, "t 2"]
    elbow: Float[np.ndarray, "t 2"]
    hip: Float[np.ndarray, "t 2"]
    knee: Float[np.ndarray, "t 2"]


# (shoulder centre, swing, elbow centre, swing, elbow's beats per swing of the shoulder)
_ARMS = {
    "swing": (0.25, 0.65, 0.35, 0.4, 1.0),
    "wave": (1.9, 0.4, 0.7, 0.8, 2.0),
    "flap": (1.2, 0.85, 0.2, 0.5, 1.0),
    "akimbo": (0.9, 0.35, -1.4, 0.5, 1.0),
    "cross": (0.3, 0.55, -0.8, 0.7, 1.0),
    "pump": (1.0, 0.6, 1.4, 0.6, 1.0),
}
# (hip centre, swing, knee centre, swing, whether the legs take turns)
_LEGS = {
    "walk": (0.1, 0.42, 0.25, 0.25, False),
    "jack": (0.38, 0.32, 0.15, 0.15, False),
    "squat": (0.45, 0.2, 0.75, 0.5, False),
    "step": (0.22, 0.25, 0.35, 0.35, True),
    "kick": (0.4, 0.5, 0.25, 0.3, True),
}
_BEAT = 16.0  # frames of a typical swing


def random_act(rng: np.random.Generator, frames: int) -> Act:
    """Draws sums of sinusoids around the stance of a random dance, held within the joints' limits."""
    time = np.arange(frames) / _BEAT * rng.uniform(0.8, 1.25)
    start = rng.uniform()

    def sway(
        centre: float, swing: float, low: float, high: float, beats: float = 1.0, phase: float = 0.0
    ) -> np.ndarray:
        strength = swing * rng.uniform(0.75, 1.2)
        wave = strength * np.sin(2 * np.pi * (beats * time + start + phase + rng.uniform(-0.06, 0.06)))
        drift = 0.2 * swing * np.sin(2 * np.pi * (rng.uniform(0.3, 1.7) * time + rng.uniform()))
        middle, half = (low + high) / 2, (high - low) / 2
        return middle + half * np.tanh((centre + wave + drift - middle) / half)

    # The arms, which may do the same, and may do it in turn.
    together = rng.uniform() < 0.4
    choice = [str(name) for name in rng.choice(list(_ARMS), 2)]
    lag = float(rng.choice([0.0, 0.5]))
    shoulders, elbows = [], []
    for side, name in enumerate([choice[0], choice[0 if together else 1]]):
        centre, swing, bend, bend_swing, beats = _ARMS[name]
        shoulders.append(sway(centre, swing, -0.7, 2.9, phase=lag * side))
        elbows.append(sway(bend, bend_swing, -2.1, 2.3, beats, phase=0.2 + lag * side))

    # The legs.
    centre, swing, bend, bend_swing, alternate = _LEGS[str(rng.choice(list(_LEGS)))]
    hips, knees = [], []
    for side in range(2):
        phase = 0.5 * side if alternate else 0.0
        hips.append(sway(centre, swing, -0.5, 1.15, phase=phase))
        knees.append(sway(bend, bend_swing, 0.0, 1.6, phase=phase + 0.1))
    return Act(
        place=sway(rng.uniform(-0.08, 0.08), 0.14, -0.3, 0.3, 0.5),
        jump=np.maximum(0.0, sway(0.0, rng.uniform(0, 0.1), -0.2, 0.2, phase=0.25)),
        lean=sway(0.0, 0.17, -0.4, 0.4, float(rng.choice([0.5, 1.0]))),
        turn=sway(0.0, 0.55, -0.9, 0.9, 0.5, rng.uniform()),
        nod=sway(0.0, 0.16, -0.4, 0.4, phase=rng.uniform()),
        shoulder=np.stack(shoulders, axis=-1),
        elbow=np.stack(elbows, axis=-1),
        hip=np.stack(hips, axis=-1),
        knee=np.stack(knees, axis=-1),
    )


def pose(body: Proportions, act: Act, ground: float = 0.86) -> tuple[np.ndarray, np.ndarray]:
    """Places the parts in every frame; `ground` is the height of the floor, in [-1, 1].

    Returns:
        Matrices (t, p, 2, 3) from each part's own coordinates to the image's (the background's is the identity), and
        joints (t, j, 2). Limbs and head start at their inner joint; limbs run along +y, torso and head along -y.
    """
    frames = len(act.place)
    matrices = np.zeros((frames, len(PARTS), 2, 3))
    matrices[:, 0] = np.eye(2, 3)
    joints = np.zeros((frames, len(JOINTS), 2))

    def put(part: str, origin: np.ndarray, angle: np.ndarray, squeeze: np.ndarray | float = 1.0) -> np.ndarray:
        matrix = matrices[:, PARTS.index(part)]
        matrix[:, 0, 0], matrix[:, 0, 1] = squeeze * np.cos(angle), -np.sin(angle)
        matrix[:, 1, 0], matrix[:, 1, 1] = squeeze * np.sin(angle), np.cos(angle)
        matrix[:, :, 2] = origin
        return matrix

    def at(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
        return matrix @ np.array([x, y, 1.0])

    def mark(joint: str, points: np.ndarray) -> None:
        joints[:, JOINTS.index(joint)] = points

    # From the pelvis outwards: torso, head, arms and legs.
    squeeze = np.cos(act.turn)
    pelvis = np.zeros((frames, 2))
    torso = put("torso", pelvis, act.lean, squeeze)
    neck = at(torso, 0.0, -body.torso)
    head = put("head", neck, 0.6 * act.lean + act.nod)
    mark("pelvis", pelvis)
    mark("neck", neck)
    mark("head", at(head, 0.0, -body.head))
    for index, (side, sign) in enumerate(zip(SIDES, (-1.0, 1.0), strict=True)):
        shoulder = at(torso, -sign * body.shoulder, -body.torso + 0.05)
        angle = act.lean + sign * act.shoulder[:, index]
        elbow = at(put(f"{side} upper arm", shoulder, angle), 0.0, body.upper_arm)
        wrist = at(put(f"{side} forearm", elbow, angle + sign * act.elbow[:, index]), 0.0, body.forearm)
        hip = at(torso, -sign * body.hip, 0.0)
        angle = 0.3 * act.lean + sign * act.hip[:, index]
        knee = at(put(f"{side} thigh", hip, angle), 0.0, body.thigh)
        ankle = at(put(f"{side} shin", knee, angle - sign * act.knee[:, index]), 0.0, body.shin)
        for joint, points in zip(
            ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
            (shoulder, elbow, wrist, hip, knee, ankle),
            strict=True,
        ):
            mark(f"{side} {joint}", points)

    # The lower foot stands on the ground; a soft maximum, so that the weight passes smoothly from foot to foot.
    feet = joints[:, [JOINTS.index(f"{side} ankle") for side in SIDES], 1]
    lowest = 0.03 * np.logaddexp(feet[:, 0] / 0.03, feet[:, 1] / 0.03)
    shift = np.stack([act.place, ground - lowest - act.jump], axis=-1)
    matrices[:, 1:, :, 2] += shift[:, None]
    return matrices, joints + shift[:, None]


def random_camera(rng: np.random.Generator, frames: int) -> Float[np.ndarray, "t 2 3"]:
    """Draws a slow pan, zoom and roll, as matrices from the background's coordinates to the image's."""
    time = np.arange(frames) / _BEAT

    def drift(size: float) -> np.ndarray:
        return size * rng.uniform(0.5, 1.0) * np.sin(2 * np.pi * (rng.uniform(0.25, 0.5) * time + rng.uniform()))

    zoom, roll = np.exp(drift(0.16)), drift(0.05)
    camera = np.zeros((frames, 2, 3))
    camera[:, 0, 0] = camera[:, 1, 1] = zoom * np.cos(roll)
    camera[:, 1, 0] = zoom * np.sin(roll)
    camera[:, 0, 1] = -camera[:, 1, 0]
    camera[:, 0, 2], camera[:, 1, 2] = drift(0.3), drift(0.08)
    return camera
