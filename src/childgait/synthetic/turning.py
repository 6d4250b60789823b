"""Lets a walk turn round in the middle of a video: out along the walkway and back, seen by cameras that stay.

A straight walk is bent rigidly about the vertical at every moment, so all joint angles stay what they are; feet pivot
on the floor while the child turns. Companions who walk beside the child turn with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from childgait.synthetic.child import Random
from childgait.synthetic.motion import Motion
from childgait.synthetic.truth import TurnTimes

Array = NDArray[np.float64]
MIDDLE_SHARE = (0.42, 0.58)  # of a video's duration, at which the child faces across the walkway
RADIUS = (0.28, 0.40)  # metres
LONGEST_SHARE = 0.4  # of a video's duration that a turn takes at most


@dataclass(frozen=True)
class Turn:
    """A turn of one walk: the heading and the place on the floor at every moment."""

    heading: Array  # (T,) radians about the vertical, 0 before the turn, plus or minus pi after it
    straight: Array  # (T, 3) where the pelvis would be on the floor without the turn
    path: Array  # (T, 3) where it is
    times: TurnTimes

    def bend(self, motion: Motion, shift: Array) -> Motion:
        """Return a motion that turns; `shift` (3,) is its place in the coordinates of the walk that the turn is of."""
        matrix = turn_matrices(self.heading)
        parts = {name: matrix @ frame for name, frame in motion.parts.items() if frame.ndim == 3}
        places = {name: place for name, place in motion.parts.items() if place.ndim == 2}
        parts |= {name: self._bend(place[:, None] + shift, matrix)[:, 0] for name, place in places.items()}
        return replace(motion, points=self._bend(motion.points + shift, matrix), parts=parts)

    def _bend(self, points: Array, matrix: Array) -> Array:
        """Return points (T, N, 3) that turn."""
        local = points - self.straight[:, None]
        return np.asarray(self.path[:, None] + np.einsum("tij,tnj->tni", matrix, local))


def draw_turn(motion: Motion, rng: Random) -> Turn:
    """Draw when and how tightly a walk turns round, to the left or to the right."""
    seconds, ground = motion.seconds, motion.parts["pelvis"] * np.array([1.0, 0.0, 0.0])
    length = float(seconds[-1] - seconds[0])
    pace = max(float(ground[-1, 0] - ground[0, 0]) / max(length, 1e-6), 0.2)
    middle = float(seconds[0] + length * rng.uniform(*MIDDLE_SHARE))
    duration = float(min(np.pi * rng.uniform(*RADIUS) / pace, LONGEST_SHARE * length))
    side = 1.0 if rng.random() < 0.5 else -1.0
    share = np.clip((seconds - middle) / duration + 0.5, 0, 1)
    heading = side * np.pi * share * share * (3 - 2 * share)
    steps = np.diff(ground[:, 0], prepend=ground[0, 0])
    path = ground[:1] + np.cumsum(
        np.stack([np.cos(heading) * steps, np.sin(heading) * steps, 0 * steps], axis=-1), axis=0
    )
    start, end = middle - duration / 2, middle + duration / 2
    times: TurnTimes = {"start": round(start, 6), "middle": round(middle, 6), "end": round(end, 6)}
    return Turn(heading, ground, path, times)


def turn_matrices(radians: Array) -> Array:
    """Return rotations about the vertical, (T, 3, 3)."""
    c, s, zero = np.cos(radians), np.sin(radians), np.zeros_like(radians)
    one = np.ones_like(radians)
    rows = [np.stack(row, axis=-1) for row in ((c, -s, zero), (s, c, zero), (zero, zero, one))]
    return np.stack(rows, axis=-2)


def turn_body(motion: Motion, degrees: float) -> Motion:
    """Return a motion turned about the vertical axis through the origin, as a whole."""
    count = len(motion.points)
    matrix = turn_matrices(np.full(count, np.radians(degrees)))
    parts = {
        name: matrix @ values if values.ndim == 3 else np.einsum("tij,tj->ti", matrix, values)
        for name, values in motion.parts.items()
    }
    return replace(motion, points=np.einsum("tij,tnj->tni", matrix, motion.points), parts=parts)
