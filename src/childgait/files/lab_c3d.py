"""Writes one recording as a C3D file: keypoints as markers, joint angles as Plug-in Gait names them, gait events.

C3D has no time stamps: frame n stands at n / rate. The picture's plane is x (to the right) and z (up); y, the depth, is
0, because one camera measures none. A missing point has the residual -1, as the format's manual states (www.c3d.org).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ezc3d
import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses
from childgait.domain.skeleton import POINTS
from childgait.errors import StepError

Floats = NDArray[np.float64]
MOST_JITTER = 0.5  # frames


def write_c3d(
    path: Path,
    poses: Poses,
    rate: float,
    height: int,
    metres_per_pixel: float | None,
    angles: Mapping[str, Floats],
    events: Sequence[tuple[str, str, float]],
) -> None:
    """Write markers in mm with a scale, else in px; angles in degrees by label; events as (context, label, seconds)."""
    _check_rate(path, poses.seconds, rate)
    scale, unit = (1.0, "px") if metres_per_pixel is None else (1000 * metres_per_pixel, "mm")
    frames = len(poses.seconds)
    points = np.full((4, len(POINTS) + len(angles), frames), np.nan)
    points[0, : len(POINTS)] = (poses.xy[..., 0] * scale).T
    points[1, : len(POINTS)] = np.where(np.isfinite(poses.xy[..., 0]), 0.0, np.nan).T
    points[2, : len(POINTS)] = ((height - 1 - poses.xy[..., 1]) * scale).T
    for number, curve in enumerate(angles.values(), len(POINTS)):
        points[:3, number] = np.where(np.isfinite(curve), [curve, 0 * curve, 0 * curve], np.nan)
    points[3] = 1
    known = np.isfinite(points[:3]).all(axis=0)

    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [float(rate)]
    file["parameters"]["POINT"]["LABELS"]["value"] = [*POINTS, *angles]
    file["parameters"]["POINT"]["UNITS"]["value"] = [unit]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    if angles:
        file.add_parameter("POINT", "ANGLES", list(angles))
        file.add_parameter("POINT", "ANGLE_UNITS", ["deg"])
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(known, 0.0, -1.0)[None]
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, points.shape[1], frames), dtype=bool)
    for context, label, seconds in events:
        minutes, rest = divmod(seconds, 60)
        file.add_event([minutes, rest], context=context, label=label)
    file.write(str(path))


def _check_rate(path: Path, seconds: Floats, rate: float) -> None:
    """Fail if a frame is not where its number and the rate put it: C3D could not keep its time."""
    worst = float(np.abs((seconds - seconds[0]) * rate - np.arange(len(seconds))).max())
    if worst > MOST_JITTER:
        raise StepError(
            f"{path.stem}: a frame is {worst:.1f} frames away from where {rate:.3f} Hz puts it; C3D has one rate",
            hint="use --format trc or csv, which have a time per frame, or leave this recording out by --videos",
        )
