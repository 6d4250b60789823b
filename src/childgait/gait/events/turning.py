"""Finds the moment at which a child turns round inside a video: one recording then shows two views.

In a side view the toes point the other way from then on; along the camera's axis the body grows and then shrinks, or
the reverse, or its left and right side change places in the picture. All three are independent of how the camera
moves, as long as it does not zoom.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height

Floats = NDArray[np.float64]

SHORTEST_SECONDS = 0.7  # of a walk in either direction: a foot that swings inwards is no turn
AGREEMENT = 0.6  # mean sign of the toes before a turn, and of the opposite sign after it
FOOT = 0.03  # body heights between heel and toe across the picture, below which a foot has no direction
TOES = (("left_big_toe", "left_heel"), ("right_big_toe", "right_heel"))
SIDES = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
WIDTH = 0.05  # body heights between left and right, below which a body shows neither front nor back
GROWTH = 0.15  # |ln| of the change of body height on either side of a turn
PLATEAU = 0.005  # |ln| below the extreme size that counts as the extreme
EDGE_SHARE = 0.1  # of the video's frames that are averaged at its ends


def find_turn(poses: Poses, view: View) -> float | None:
    """Return the time in seconds at which the child turns round; None if it does not."""
    height = np.asarray(body_height(poses.xy), np.float64)
    if view in ("left", "right"):
        return _turn_of_order(poses, height, TOES, FOOT)
    turn = _turn_of_size(poses.seconds, height)
    return _turn_of_order(poses, height, SIDES, WIDTH) if turn is None else turn


def _turn_of_order(poses: Poses, height: Floats, pairs: tuple[tuple[str, str], ...], least: float) -> float | None:
    """Return when the first points of all pairs pass from one side of the second ones to the other, in the picture."""
    first, second = (poses.xy[:, [INDEX[pair[end]] for pair in pairs], 0] for end in (0, 1))
    known = np.isfinite(first - second)
    ahead = np.where(known, first - second, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1) / height
    sign = np.where(np.isfinite(ahead) & (np.abs(ahead) > least), np.sign(ahead), 0)
    clear = np.flatnonzero(sign)
    if len(clear) < 4:
        return None
    seconds, signs = poses.seconds[clear], sign[clear]
    before = np.cumsum(signs)[:-1]
    after = signs.sum() - before
    split = int(np.abs(before - after).argmax())
    long_enough = min(seconds[split] - seconds[0], seconds[-1] - seconds[split + 1]) >= SHORTEST_SECONDS
    means = before[split] / (split + 1), after[split] / (len(signs) - split - 1)
    turned = means[0] * means[1] < 0 and min(abs(means[0]), abs(means[1])) >= AGREEMENT
    return float((seconds[split] + seconds[split + 1]) / 2) if long_enough and turned else None


def _turn_of_size(seconds: Floats, height: Floats) -> float | None:
    known = np.flatnonzero(np.isfinite(height))
    if len(known) < 10:
        return None
    times, size = seconds[known], np.log(height[known])
    width = 2 * (max(3, len(size) // 15) // 2) + 1
    padded = np.pad(size, width // 2, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    edge = max(1, round(EDGE_SHARE * len(smooth)))
    ends = float(np.median(smooth[:edge])), float(np.median(smooth[-edge:]))
    for sign in (1, -1):
        signed = sign * smooth
        extreme = int(np.mean(np.flatnonzero(signed >= signed.max() - PLATEAU)))  # body heights are smooth over time
        apart = min(times[extreme] - times[0], times[-1] - times[extreme])
        if apart >= SHORTEST_SECONDS and min(signed.max() - sign * end for end in ends) >= GROWTH:
            return float(times[extreme])
    return None
