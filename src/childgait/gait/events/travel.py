"""Finds the direction of travel, and whether it fits the view in the video's name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import VIEWS, View
from childgait.domain.poses import Poses
from childgait.domain.skeleton import INDEX
from childgait.gait.body import body_height, hip_middle

ACROSS = 0.5  # body heights across the picture, from which the direction of travel is clear
GROWTH = 0.1  # |ln| of the change of body height, from which a walk along the camera's axis is clear
HIDDEN_GROWTH = 0.35  # ... below which toes across the picture count more
FEWEST_FRAMES = 10  # in which the body is seen
CLEAR_SHARE = 0.2  # beyond one half: the share of frames whose toes agree on a side

_DIRECTIONS: dict[View, str] = {
    "left": "to the left",
    "right": "to the right",
    "forward": "towards the camera",
    "backward": "away from the camera",
}
_OPPOSITE: dict[View, View] = {"left": "right", "right": "left", "forward": "backward", "backward": "forward"}
_FACING: dict[View, int] = {"left": -1, "right": 1}  # of the child in a side view
assert set(_DIRECTIONS) == set(_OPPOSITE) == set(VIEWS)


@dataclass(frozen=True)
class Travel:
    """The observed direction of travel: the distance across the picture in body heights, and the change of size."""

    view: View | None  # as observed; None: the child hardly moves
    across: float  # body heights to the right, from start to end
    growth: float  # natural logarithm of the last height over the first
    facing: int  # 1: towards the picture's right, -1: left, 0: unclear; by the toes, else the travel, else the name
    fits_name: bool | None  # whether `view` is the view in the name; None without a `view`
    name_reversed: bool  # the name gives the opposite view
    note: str


def find_travel(poses: Poses, view: View) -> Travel:
    """Return the direction of travel, from the body's path and size. `view` is the one in the video's name."""
    height = body_height(poses.xy)
    middle = hip_middle(poses)
    usable = np.flatnonzero(np.isfinite(middle).all(axis=1) & np.isfinite(height))
    if len(usable) < FEWEST_FRAMES:
        few = "the child's body is seen in fewer than ten frames"
        return Travel(None, 0.0, 0.0, _toe_direction(poses) or _FACING.get(view, 0), None, False, few)
    across, growth = _travel(height, middle[:, 0], usable)
    toes = _toe_direction(poses)
    observed = view if _is_hidden_by_camera(view, toes, across, growth) else _observed_view(across, growth)
    # A reversed name exchanges the limbs. In a side view the toes decide, because a panning camera hides the travel.
    name_reversed = toes == -_FACING[view] if view in _FACING else observed == _OPPOSITE[view]
    facing = toes or (int(np.sign(across)) if abs(across) >= ACROSS else _FACING.get(view, 0))
    if observed not in (None, view):
        note = f"named {view}, but the child is seen to walk {_DIRECTIONS[observed]}"
    elif name_reversed:
        note = f"named {view}, but the toes point the other way"
    else:
        note = "the child hardly moves" if observed is None else ""
    return Travel(observed, across, growth, facing, None if observed is None else observed == view, name_reversed, note)


def find_view(poses: Poses) -> View | None:
    """Return the view that fits the body's path, size and toes; None where they are unclear or disagree."""
    height, middle = body_height(poses.xy), hip_middle(poses)
    usable = np.flatnonzero(np.isfinite(middle).all(axis=1) & np.isfinite(height))
    if len(usable) < FEWEST_FRAMES:
        return None
    across, growth = _travel(height, middle[:, 0], usable)
    toes, observed = _toe_direction(poses), _observed_view(across, growth)
    if observed is None and abs(across) < ACROSS and toes:  # a camera that follows the child
        return next(view for view, facing in _FACING.items() if facing == toes)
    if observed in _FACING:
        return observed if toes == _FACING[observed] else None
    return observed if toes == 0 else None


def _travel(
    height: NDArray[np.floating], across: NDArray[np.floating], usable: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the distance across the picture in body heights, and the natural logarithm of the change of height."""
    tenth = max(3, len(usable) // 10)
    first, last = usable[:tenth], usable[-tenth:]
    distance = float(np.median(across[last]) - np.median(across[first])) / float(np.median(height[usable]))
    return distance, float(np.log(np.median(height[last]) / np.median(height[first])))


def _is_hidden_by_camera(view: View, toes: int, across: float, growth: float) -> bool:
    """Whether the body fits the named view, and only a camera that follows the child hides the travel.

    In a side view it keeps the child in the middle; along its axis it may swing aside while the child grows or shrinks.
    """
    if view in _FACING:
        return toes == _FACING[view] and abs(across) < ACROSS and GROWTH <= abs(growth) < HIDDEN_GROWTH
    return toes == 0 and (growth if view == "forward" else -growth) >= 2 * GROWTH


def _observed_view(across: float, growth: float) -> View | None:
    """Return the view that the travel fits: a walk across covers body heights, one along the axis changes the size."""
    if abs(across) < ACROSS and abs(growth) < GROWTH:
        return None
    if abs(across) >= ACROSS * (1 + 2 * abs(growth)) and abs(across) > 2 * abs(growth):
        return "right" if across > 0 else "left"
    return "forward" if growth > 0 else "backward"


def _toe_direction(poses: Poses) -> int:
    """Return where the toes point: 1 to the picture's right, -1 to its left, 0 where that is unclear."""
    toes = poses.xy[:, [INDEX["left_big_toe"], INDEX["right_big_toe"]], 0]
    heels = poses.xy[:, [INDEX["left_heel"], INDEX["right_heel"]], 0]
    ahead = (toes - heels).ravel()
    ahead = ahead[np.isfinite(ahead)]
    share = float((ahead > 0).mean()) if len(ahead) else 0.5
    if abs(share - 0.5) > CLEAR_SHARE:
        return 1 if share > 0.5 else -1
    return 0
