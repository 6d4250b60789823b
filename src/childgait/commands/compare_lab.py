"""Compares a video's joint angles with those of a gait laboratory, recorded at the same time.

childgait compare-lab --laboratory walk.csv --angles data/refine_pose/0001-0001_left_459-740.angles.parquet
childgait compare-lab --laboratory walk.c3d --angles … --shift -0.35 --page comparison.md
"""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError

HEADER = (
    "| limb | joint | moments | RMSE | RMSE without offset | CMC | bias | 95 % limits of agreement |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|"
)


def compare_lab(laboratory: Path, angles: Path, shift: float = 0.0, page: Path | None = None) -> None:
    """Print RMSE, CMC and limits of agreement per joint and limb, in degrees; --page also writes them to a file.

    --shift adds seconds to the video's time where the clocks differ.
    """
    import numpy as np
    import polars as pl

    from childgait.domain.evgs import LIMBS
    from childgait.files.tables import read_table
    from childgait.gait.kinematics import ANGLES
    from childgait.gait.lab_angles import JOINTS, Curves, compare_angles, read_lab_angles

    table = read_table(angles, ANGLES).sort("seconds")
    left = table.filter(pl.col("limb") == LIMBS[0])
    curves: Curves = {
        (limb, joint): table.filter(pl.col("limb") == limb)[joint].fill_null(float("nan")).to_numpy().astype(np.float64)
        for limb in LIMBS
        for joint in JOINTS
    }
    rows = compare_angles(left["seconds"].to_numpy(), curves, read_lab_angles(laboratory), shift)
    if not rows:
        raise StepError(
            f"{laboratory} and {angles} have no joint at the same time",
            hint="give --shift, the seconds from the video's clock to the laboratory's",
        )
    lines = [
        f"| {row.limb} | {row.joint} | {row.moments} | {row.rmse:.1f} | {row.rmse_without_offset:.1f} | "
        f"{'–' if row.cmc is None else f'{row.cmc:.2f}'} | {row.bias:+.1f} | {row.low:+.1f} to {row.high:+.1f} |"
        for row in rows
    ]
    text = "\n".join([HEADER, *lines])
    print(text)
    if page is not None:
        title = (
            f"# Joint angles of {angles.name} beside {laboratory.name}\n\nDegrees; bias is video minus laboratory.\n\n"
        )
        page.write_text(title + text + "\n", encoding="utf-8")
