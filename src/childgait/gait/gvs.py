"""Gait Variable Scores and Gait Profile Score from 3D curves; a sagittal deviation score from 2D curves.

A Gait Variable Score (GVS) is the RMS distance in degrees between one curve over the gait cycle and the norm's mean;
the Gait Profile Score (GPS) is the RMS of a limb's nine (Baker et al. 2009, Gait Posture 30:265). The source of this
project names "GVS" without defining it. Six of the nine curves cannot be measured by one camera, so that 2D poses give
a score of its own: the sagittal deviation score of hip, knee, ankle and trunk. It is no GVS.

The norm is that of gait/normative.py (children at free speed). Degrees throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from childgait.gait.normative import CYCLE, Curve, free_curves
from childgait.gait.scoring import Stride

POINTS = 51  # of a cycle, both ends included
SHARES: Curve = np.linspace(0, 1, POINTS)
# Curve of a limb: curve of the norm. Pelvic tilt, obliquity and rotation count once, for either limb.
NINE: dict[str, str] = {
    "tilt": "tilt",
    "obliquity": "obliquity",
    "rotation": "rotation",
    "hip": "hip",
    "adduction": "adduction",
    "hip_rotation": "hip_rotation",
    "knee": "knee",
    "ankle": "ankle",
    "foot_progression": "foot_progression",
}
SAGITTAL = ("hip", "knee", "ankle", "trunk_lean")
UPRIGHT = 2.0  # mean forward lean of a child's trunk in degrees: a choice of ours, for want of a norm of 2D trunks
FOOT_EXTERNAL = 7.0  # mean external foot progression of children in degrees (Schwartz et al. 2008: 5 to 10)


def nine_curves(curves: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return the nine curves of a limb from those of a 3D truth (synthetic/motion.py, CURVES).

    The truth has no pelvic tilt, which follows from the angles of the leg and the foot's to the floor, and the foot's
    direction in two parts: that of the knee, and that of the foot to the knee.
    """
    derived = {
        "tilt": curves["hip"] - curves["knee"] + curves["ankle"] - curves["foot_pitch"],
        "foot_progression": curves["knee_direction"] + curves["foot_rotation"],
    }
    return {name: derived[name] if name in derived else curves[name] for name in NINE}


def norm_of(name: str) -> NDArray[np.float64]:
    """Return the norm's curve at the points of the cycle."""
    if name == "trunk_lean":
        return np.full(POINTS, UPRIGHT)
    if name == "foot_progression":
        return np.full(POINTS, FOOT_EXTERNAL)
    curve = free_curves()[name]
    return np.asarray(np.interp(SHARES, np.append(CYCLE, 1.0), np.append(curve, curve[0])))


def resample_stride(
    seconds: NDArray[np.float64], curve: NDArray[np.float64], stride: Stride
) -> NDArray[np.float64] | None:
    """Return a curve at the points of one gait cycle; None where less than nine tenths of it are known."""
    inside = (seconds >= stride.contact) & (seconds <= stride.next_contact)
    known = inside & np.isfinite(curve)
    if not known.any() or known.sum() < 0.9 * inside.sum():
        return None
    moments = stride.contact + SHARES * (stride.next_contact - stride.contact)
    return np.asarray(np.interp(moments, seconds[np.isfinite(curve)], curve[np.isfinite(curve)]))


def mean_cycle(
    seconds: NDArray[np.float64], curve: NDArray[np.float64], strides: Sequence[Stride]
) -> NDArray[np.float64] | None:
    """Return the mean of a curve over strides at the points of the cycle; None without a whole stride."""
    cycles = [resample_stride(seconds, curve, stride) for stride in strides]
    whole = [cycle for cycle in cycles if cycle is not None]
    return np.mean(whole, axis=0) if whole else None


def rms(difference: NDArray[np.float64]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(difference))))


def variable_scores(
    seconds: NDArray[np.float64], curves: Mapping[str, NDArray[np.float64]], strides: Sequence[Stride]
) -> dict[str, float]:
    """Return the score in degrees of each of a limb's curves that has a norm and a whole stride."""
    scores = {}
    for name in dict.fromkeys((*NINE, *SAGITTAL)):
        cycle = mean_cycle(seconds, np.asarray(curves[name], dtype=float), strides) if name in curves else None
        if cycle is not None:
            scores[name] = rms(cycle - norm_of(name))
    return scores


def profile_score(scores: Mapping[str, float]) -> float | None:
    """Return a limb's GPS in degrees; None unless all nine scores are given: fewer are another scale."""
    if any(name not in scores for name in NINE):
        return None
    return rms(np.array([scores[name] for name in NINE]))


def sagittal_deviation(scores: Mapping[str, float]) -> float | None:
    """Return the sagittal deviation score in degrees, of hip, knee, ankle and trunk; None unless all are given."""
    if any(name not in scores for name in SAGITTAL):
        return None
    return rms(np.array([scores[name] for name in SAGITTAL]))
