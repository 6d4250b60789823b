"""Norm data of children's gait: joint curves, their changes with speed and in nine sagittal patterns, and growth.

Joint curves by speed: Schwartz, Rozumalski and Trost 2008 (J Biomech 41:1639), children at free speed and four others,
resampled to twenty points of a closed cycle. Pattern curves are these plus offsets, sized so that the bands of the
Edinburgh score give a moderate case; they are not averages of patients. Heights: British 1990 growth reference.
Timing: the same curves' dimensionless speeds, scaled by height, with Hausdorff et al. 1999 in between.

Degrees. Flexion, dorsiflexion, anterior tilt, adduction, internal rotation, own side up and own side forward are
positive. A gait cycle runs from 0 to 1, from one initial contact of the limb to its next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from childgait.gait.filters import pchip

Curve = NDArray[np.float64]
GRID = 200  # samples per gait cycle
CYCLE: Curve = np.arange(GRID) / GRID

# Free speed, every 5 % of the cycle.
_FREE: dict[str, tuple[float, ...]] = {
    "tilt": (12.1, 11.7, 10.9, 10.7, 11.0, 11.5, 11.7, 12.0, 12.4, 12.4,
        12.0, 11.5, 10.8, 10.5, 10.9, 11.3, 11.6, 11.9, 12.3, 12.4),
    "obliquity": (0.7, 1.8, 3.4, 4.1, 3.4, 1.8, 0.3, -0.4, -0.5, -0.3,
        -0.7, -1.7, -3.3, -4.1, -3.4, -1.8, -0.4, 0.3, 0.4, 0.2),
    "rotation": (4.3, 4.1, 3.4, 3.6, 3.3, 2.3, 1.1, -0.3, -1.9, -3.5,
        -4.4, -4.1, -3.5, -3.6, -3.4, -2.4, -1.2, 0.2, 1.8, 3.3),
    "hip": (35.6, 35.3, 32.8, 28.0, 22.5, 16.9, 11.4, 6.3, 1.6, -2.5,
        -5.3, -5.4, -0.9, 8.1, 17.9, 26.1, 32.0, 35.6, 36.7, 36.0),
    "adduction": (-1.6, 0.7, 3.7, 5.1, 5.0, 4.2, 3.2, 2.6, 2.4, 2.1,
        0.8, -1.7, -5.2, -7.1, -6.3, -4.5, -3.1, -2.3, -2.2, -2.4),
    "hip_rotation": (-2.7, -1.8, 0.8, 0.0, -0.5, -1.2, -1.4, -1.5, -1.7, -2.2,
        -3.0, -4.2, -5.1, -5.2, -3.2, -0.7, 1.1, 0.6, -2.2, -3.3),
    "knee": (5.5, 12.5, 18.6, 18.9, 16.5, 13.2, 10.1, 7.6, 6.2, 7.3,
        11.6, 20.2, 33.9, 49.2, 58.2, 58.0, 49.8, 35.7, 18.7, 5.8),
    "ankle": (-2.2, -5.8, -2.1, 2.2, 5.2, 7.1, 8.6, 10.0, 11.1, 11.9,
        10.4, 2.6, -13.8, -19.2, -11.2, -3.6, 1.1, 2.5, 1.0, -0.9),
}  # fmt: skip

_SPEED_PERCENT = (0, 10, 20, 30, 40, 50, 60, 65, 72, 80, 88, 95)
_BY_SPEED: dict[str, dict[str, tuple[float, ...]]] = {
    "very slow": {
        "hip": (30, 25, 18, 13, 8, 3, 2, 6, 14, 25, 31, 32),
        "knee": (5, 8, 7, 7, 7, 9, 18, 28, 42, 42, 25, 8),
        "ankle": (-3, -4, 2, 6, 10, 13, 7, -1, -4, 3, 4, -1),
    },
    "slow": {
        "hip": (33, 28, 19, 11, 5, -1, 1, 8, 20, 30, 34, 34),
        "knee": (5, 12, 11, 9, 8, 11, 29, 44, 55, 46, 23, 5),
        "ankle": (-3, -4, 3, 7, 12, 14, -2, -13, -6, 3, 2, -1),
    },
    "free": {
        "hip": (36, 33, 23, 11, 2, -5, -1, 8, 21, 32, 37, 36),
        "knee": (5, 19, 16, 10, 6, 12, 34, 49, 59, 50, 26, 6),
        "ankle": (-2, -2, 5, 9, 11, 10, -14, -19, -8, 1, 2, -1),
    },
    "fast": {
        "hip": (40, 37, 26, 12, 0, -8, -1, 9, 23, 35, 40, 40),
        "knee": (7, 23, 19, 10, 4, 11, 36, 52, 61, 51, 26, 7),
        "ankle": (-3, -2, 6, 8, 9, 5, -20, -19, -7, 1, 1, -1),
    },
    "very fast": {
        "hip": (43, 40, 28, 13, 0, -7, 1, 11, 27, 40, 45, 44),
        "knee": (8, 22, 17, 6, 1, 8, 37, 53, 62, 53, 28, 10),
        "ankle": (-4, -2, 6, 8, 7, -2, -22, -18, -6, 3, 3, -1),
    },
}  # fmt: skip
# Dimensionless walking speed of each class, and where the foot leaves the ground, in % of the cycle.
SPEEDS: dict[str, tuple[float, float]] = {
    "very slow": (0.17, 68), "slow": (0.29, 62), "free": (0.43, 59), "fast": (0.56, 58), "very fast": (0.69, 56),
}  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """A sagittal pattern at moderate strength: complete curves, foot off in % of the cycle, added pelvic tilt."""

    foot_off: float
    tilt: float
    curves: dict[str, tuple[float, ...]]


_PATTERN_PERCENT = (0, 5, 10, 20, 30, 40, 50, 60, 65, 72, 80, 88, 95)
PATTERNS: dict[str, Pattern] = {
    "normal": Pattern(59, 0, {
        "hip": (36, 35, 33, 23, 11, 2, -5, -1, 8, 21, 32, 37, 36),
        "knee": (5, 13, 19, 16, 10, 6, 12, 34, 49, 59, 50, 26, 6),
        "ankle": (-2, -6, -2, 5, 9, 11, 10, -14, -19, -8, 1, 2, -1),
    }),
    "true_equinus": Pattern(60, 0, {
        "hip": (36, 35, 33, 23, 11, 2, -5, -1, 8, 21, 32, 37, 36),
        "knee": (5, 13, 18, 13, 6, 2, 8, 34, 49, 59, 50, 26, 6),
        "ankle": (-25, -28, -23, -18, -16, -15, -15, -26, -28, -21, -16, -20, -24),
    }),
    "jump": Pattern(61, 7, {
        "hip": (50, 49, 47, 37, 25, 16, 9, 13, 22, 35, 46, 51, 50),
        "knee": (27, 34, 40, 34, 21, 16, 22, 40, 48, 55, 48, 36, 26),
        "ankle": (-15, -17, -14, -9, -7, -5, -6, -23, -26, -19, -12, -12, -14),
    }),
    "apparent_equinus": Pattern(62, 6, {
        "hip": (50, 49, 47, 37, 25, 16, 9, 13, 22, 35, 46, 51, 50),
        "knee": (27, 35, 41, 38, 32, 28, 33, 39, 46, 53, 47, 41, 27),
        "ankle": (-1, -3, 0, 5, 7, 9, 8, -9, -12, -5, 2, 2, 0),
    }),
    "crouch_moderate": Pattern(64, 4, {
        "hip": (52, 51, 49, 39, 27, 18, 11, 15, 24, 37, 48, 53, 52),
        "knee": (33, 41, 47, 44, 38, 34, 39, 41, 46, 53, 48, 46, 33),
        "ankle": (11, 7, 11, 18, 22, 24, 24, 4, -1, 10, 19, 16, 12),
    }),
    "crouch_severe": Pattern(66, 4, {
        "hip": (60, 59, 57, 47, 35, 26, 19, 23, 32, 45, 56, 61, 60),
        "knee": (43, 52, 59, 56, 50, 46, 50, 44, 45, 54, 50, 34, 34),
        "ankle": (16, 12, 16, 23, 27, 29, 29, 12, 7, 18, 27, 21, 17),
    }),
    "stiff_knee": Pattern(61, 0, {
        "hip": (36, 35, 33, 23, 11, 2, -5, -1, 8, 21, 32, 37, 36),
        "knee": (6, 12, 19, 16, 10, 6, 11, 23, 27, 37, 41, 33, 18),
        "ankle": (-2, -6, -2, 5, 9, 11, 10, -14, -19, -8, 1, 2, -1),
    }),
    "recurvatum": Pattern(60, 0, {
        "hip": (36, 35, 33, 23, 11, 2, -5, -1, 8, 21, 32, 37, 36),
        "knee": (5, 12, 15, 4, -3, -7, 5, 34, 49, 59, 50, 26, 6),
        "ankle": (-5, -8, -5, -5, -2, 0, 0, -19, -24, -13, -4, -3, -5),
    }),
    "drop_foot": Pattern(59, 0, {
        "hip": (36, 35, 33, 23, 11, 2, -5, -1, 8, 21, 32, 37, 36),
        "knee": (5, 13, 19, 16, 10, 6, 12, 34, 49, 59, 50, 26, 6),
        "ankle": (-16, -9, -2, 5, 9, 11, 10, -17, -33, -24, -15, -14, -17),
    }),
    "drop_foot_steppage": Pattern(59, 0, {
        "hip": (38, 36, 33, 23, 11, 2, -5, 0, 13, 33, 45, 49, 44),
        "knee": (6, 13, 19, 16, 10, 6, 12, 38, 60, 73, 63, 33, 7),
        "ankle": (-18, -10, -2, 5, 9, 11, 10, -18, -35, -26, -17, -16, -19),
    }),
}  # fmt: skip


def _even(values: tuple[float, ...]) -> Curve:
    """Return the trigonometric interpolation through points at equal distances, on the common grid."""
    spectrum = np.fft.rfft(np.array(values, dtype=np.float64))
    spectrum[-1] /= 2  # at an even count the highest frequency stands for two
    return np.asarray(np.fft.irfft(spectrum, GRID) * GRID / len(values))


def _uneven(percent: tuple[float, ...], values: tuple[float, ...]) -> Curve:
    """Return the curve through few points at unequal distances, on the common grid, without overshoot."""
    x = np.array([percent[-1] - 100, *percent, 100.0, 100.0 + percent[1]]) / 100
    y = np.array([values[-1], *values, values[0], values[1]], dtype=np.float64)
    return pchip(x, y[:, None], CYCLE)[:, 0]


def periodic(percent: tuple[float, ...], values: tuple[float, ...]) -> Curve:
    """Return a closed smooth curve through the given points, on the common grid."""
    even = np.allclose(np.diff(percent), 100 / len(percent))
    return _even(values) if even else _uneven(percent, values)


@cache
def free_curves() -> dict[str, Curve]:
    """Return the normal curves at free speed, on the common grid."""
    return {name: periodic(tuple(range(0, 100, 5)), values) for name, values in _FREE.items()}


@cache
def _speed_change(name: str) -> dict[str, Curve]:
    free = _BY_SPEED["free"]
    return {
        joint: periodic(_SPEED_PERCENT, tuple(a - b for a, b in zip(_BY_SPEED[name][joint], free[joint], strict=True)))
        for joint in free
    }


@cache
def _pattern_change(name: str) -> dict[str, Curve]:
    normal = PATTERNS["normal"].curves
    return {
        joint: periodic(
            _PATTERN_PERCENT, tuple(a - b for a, b in zip(PATTERNS[name].curves[joint], normal[joint], strict=True))
        )
        for joint in normal
    }


def curves_at(speed: float) -> tuple[dict[str, Curve], float]:
    """Return the normal curves at a dimensionless speed, and foot-off as a share of the cycle."""
    classes = list(SPEEDS)
    speeds = [SPEEDS[name][0] for name in classes]
    place = float(np.interp(speed, speeds, np.arange(len(speeds))))
    low = min(int(place), len(classes) - 2)
    part = place - low
    curves = {name: curve.copy() for name, curve in free_curves().items()}
    for joint in ("hip", "knee", "ankle"):
        below, above = (_speed_change(classes[i])[joint] for i in (low, low + 1))
        curves[joint] += (1 - part) * below + part * above
    foot_off = (1 - part) * SPEEDS[classes[low]][1] + part * SPEEDS[classes[low + 1]][1]
    return curves, foot_off / 100


def pattern_change(name: str, strength: float) -> tuple[dict[str, Curve], float]:
    """Return what a pattern adds to hip, knee, ankle and tilt, and to the share of stance; strength 1 is moderate."""
    change = {joint: strength * curve for joint, curve in _pattern_change(name).items()}
    change["tilt"] = np.full(GRID, strength * PATTERNS[name].tilt)
    return change, strength * (PATTERNS[name].foot_off - PATTERNS["normal"].foot_off) / 100


# Growth: medians by age in years; boys, girls (cm). Linear in between.
_AGES = (3, 4, 5, 6, 8, 10, 12, 14, 16, 17)
_HEIGHTS = {
    "male": (95.4, 102.5, 109.6, 115.9, 127.8, 138.4, 148.4, 162.4, 173.4, 175.9),
    "female": (94.5, 101.5, 108.9, 115.3, 127.3, 138.4, 149.8, 159.6, 163.2, 163.5),
}
_STRIDE_AGES = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17)
_STRIDES = (0.76, 0.80, 0.83, 0.86, 0.89, 0.91, 0.93, 0.95, 0.97, 0.98, 1.00, 1.02, 1.04, 1.05)


def height_of(age_years: float, sex: str) -> float:
    """Return the median height in metres."""
    return float(np.interp(age_years, _AGES, _HEIGHTS[sex])) / 100


def stride_of(age_years: float, speed: float) -> float:
    """Return the stride duration in seconds by age and dimensionless speed."""
    classes = [SPEEDS[name][0] for name in SPEEDS]
    cadence = float(np.interp(speed, classes, (0.34, 0.46, 0.56, 0.66, 0.76)))
    return 1.08 * float(np.interp(age_years, _STRIDE_AGES, _STRIDES)) * 0.56 / cadence


# Lengths as shares of height at 3 and at 17 years, linear in between (crash-test children; Drillis and Contini).
_SHARES: dict[str, tuple[float, float]] = {
    "thigh": (0.205, 0.245), "shank": (0.220, 0.246), "ankle_height": (0.040, 0.040), "foot": (0.152, 0.152),
    "trunk": (0.306, 0.288), "upper_arm": (0.200, 0.186), "forearm": (0.155, 0.146), "hand": (0.100, 0.100),
    "shoulder_width": (0.240, 0.250), "hip_width": (0.100, 0.110), "neck_and_head": (0.224, 0.182),
}  # fmt: skip
_HEAD_AGES, _HEAD_SHARES = (3, 5, 8, 12, 15), (0.20, 0.18, 0.16, 0.145, 0.135)


def proportions(age_years: float) -> dict[str, float]:
    """Return segment lengths, and the height of the head (chin to crown), as shares of body height."""
    shares = {name: float(np.interp(age_years, (3, 17), pair)) for name, pair in _SHARES.items()}
    shares["head"] = float(np.interp(age_years, _HEAD_AGES, _HEAD_SHARES))
    return shares
