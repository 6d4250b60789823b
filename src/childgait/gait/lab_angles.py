"""Joint angles of a gait laboratory beside those of a video: RMSE, CMC and limits of agreement per joint and limb.

Reads a CSV with `seconds`, `limb`, and columns hip, knee, ankle in degrees (flexion and dorsiflexion positive, as
gait/kinematics.py), or a C3D file with Plug-in Gait's LHipAngles, LKneeAngles, … Both are compared on the laboratory's
time axis; `shift` adds to the video's time where the clocks differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import LIMBS
from childgait.errors import StepError
from childgait.files.c3d_points import read_points
from childgait.user_files import read_rows, shorten

Series = NDArray[np.float64]
Curves = dict[tuple[str, str], Series]  # by limb and joint
JOINTS = ("hip", "knee", "ankle")
COLUMNS = "seconds, limb, hip, knee, ankle"
FEWEST = 10  # moments that both know
MOST = 10_000  # seconds, degrees
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True)
class LabAngles:
    """Curves of a recording: seconds (T,), and degrees (T,) by limb and joint; NaN where unknown."""

    seconds: Series
    curves: Curves


@dataclass(frozen=True)
class JointAgreement:
    """How far a video's curve agrees with the laboratory's, in degrees."""

    limb: str
    joint: str
    moments: int
    rmse: float
    rmse_without_offset: float  # of the curves about their own means
    cmc: float | None  # coefficient of multiple correlation; None where the curves do not agree at all
    bias: float  # video minus laboratory
    low: float  # 95 % limits of agreement
    high: float


def read_lab_angles(path: Path) -> LabAngles:
    """Read a laboratory's angles from a CSV or a C3D file."""
    return _read_c3d(path) if path.suffix.lower() == ".c3d" else _read_csv(path)


def _read_csv(path: Path) -> LabAngles:
    rows = read_rows(path, ("seconds", "limb"))
    joints = [joint for joint in JOINTS if rows and joint in rows[0][1]]
    if not joints:
        raise StepError(f"{path} has no row with hip, knee or ankle", hint=f"give a CSV with {COLUMNS}")
    samples: dict[tuple[str, float], list[float]] = {}
    for number, row in rows:
        where = f"{path}, line {number}"
        if row["limb"] not in LIMBS:
            raise StepError(f"{where}: limb is {shorten(row['limb'])}", hint="write left or right")
        moment = row["limb"], _number(row["seconds"], f"{where}: seconds")
        if moment in samples:
            raise StepError(f"{where}: {row['limb']} has two rows at {moment[1]} s", hint="keep one of them")
        samples[moment] = [_number(row[joint] or "nan", f"{where}: {joint}", nan=True) for joint in joints]
    seconds = np.unique([moment for _, moment in samples])
    curves: Curves = {}
    for limb in LIMBS:
        missing = [np.nan] * len(joints)
        table = np.array([samples.get((limb, moment), missing) for moment in seconds])
        curves |= {(limb, joint): table[:, column] for column, joint in enumerate(joints)}
    return LabAngles(seconds, curves)


def _number(text: str, where: str, *, nan: bool = False) -> float:
    """Parse a decimal number of at most 10,000 in amount; `nan` also accepts a missing value."""
    if nan and text.strip().lower() == "nan":
        return float("nan")
    if not NUMBER.fullmatch(text.strip()) or abs(float(text)) > MOST:
        raise StepError(f"{where} is {shorten(text)}", hint=f"a decimal number up to {MOST:,} is expected")
    return float(text)


def _read_c3d(path: Path) -> LabAngles:
    points = read_points(path)
    labels = [label.split(":")[-1] for label in points.labels]
    curves: Curves = {}
    for limb in LIMBS:
        for joint in JOINTS:
            label = f"{limb[0].upper()}{joint.capitalize()}Angles"
            if label in labels:
                curves[limb, joint] = points.first[:, labels.index(label)]
    if not curves:
        raise StepError(f"{path} has no joint angles", hint="export LHipAngles, LKneeAngles, … of both limbs")
    return LabAngles(np.arange(len(points.first)) / points.rate, curves)


def compare_curves(limb: str, joint: str, video: Series, laboratory: Series) -> JointAgreement | None:
    """Compare two curves at the same moments; None where fewer than 10 are known to both."""
    known = np.isfinite(video) & np.isfinite(laboratory)
    if known.sum() < FEWEST:
        return None
    one, two = video[known], laboratory[known]
    difference = one - two
    bias, half = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    return JointAgreement(
        limb=limb,
        joint=joint,
        moments=int(known.sum()),
        rmse=float(np.sqrt(np.mean(difference**2))),
        rmse_without_offset=float(difference.std()),
        cmc=multiple_correlation(one, two),
        bias=bias,
        low=bias - half,
        high=bias + half,
    )


def multiple_correlation(first: Series, second: Series) -> float | None:
    """Return the coefficient of multiple correlation (Kadaba et al. 1989, J Orthop Res 7:849) of two curves.

    None where the variance between the curves exceeds that over time: its square root is then not real.
    """
    curves = np.stack([first, second])
    moments = curves.shape[1]
    between = np.sum((curves - curves.mean(axis=0)) ** 2) / moments
    total = np.sum((curves - curves.mean()) ** 2) / (2 * moments - 1)
    if total <= 0 or between > total:
        return None
    return float(np.sqrt(1 - between / total))


def compare_angles(seconds: Series, curves: Curves, laboratory: LabAngles, shift: float = 0.0) -> list[JointAgreement]:
    """Compare a video's curves with the laboratory's, per limb and joint that both have."""
    rows = []
    for (limb, joint), truth in laboratory.curves.items():
        own = curves.get((limb, joint))
        if own is None or not np.isfinite(own).any():
            continue
        known = np.isfinite(own)
        moved = seconds[known] + shift
        there = np.interp(laboratory.seconds, moved, own[known], left=np.nan, right=np.nan)
        agreement = compare_curves(limb, joint, there, truth)
        if agreement is not None:
            rows.append(agreement)
    return rows
