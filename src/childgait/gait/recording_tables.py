"""Tables of one recording that people read: a row per stride, and a row per gait feature with its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from childgait.domain.evgs import LIMBS
from childgait.files.tables import Column, Table
from childgait.gait.feature_names import NAMES
from childgait.gait.features import ClipKinematics, describe_limb

if TYPE_CHECKING:
    import polars as pl

STRIDES = Table(
    "strides",
    ("limb", "stride"),
    (
        Column("limb", "String", "left or right"),
        Column("stride", "Int64", "number of the limb's stride, from 1"),
        Column("contact_seconds", "Float64", "initial contact, since the video's first frame"),
        Column("opposite_off_seconds", "Float64", "foot-off of the other limb; null if unknown"),
        Column("opposite_contact_seconds", "Float64", "initial contact of the other limb; null if unknown"),
        Column("foot_off_seconds", "Float64", "foot-off; null if unknown"),
        Column("next_contact_seconds", "Float64", "next initial contact of the limb"),
        Column("stride_seconds", "Float64", "contact to contact"),
        Column("cadence_per_minute", "Float64", "steps per minute: two per stride"),
        Column("stance_share", "Float64", "stance over the stride's duration"),
        Column("double_support_share", "Float64", "both periods of double support over the stride's duration"),
    ),
)
FEATURES = Table(
    "features",
    ("limb", "feature"),
    (
        Column("limb", "String", "left or right"),
        Column("feature", "String", "name of the feature, as in gait/feature_names.py"),
        Column("value", "Float64", "median over the limb's strides; null where the view does not show it"),
        Column("unit", "String", "unit of the value"),
    ),
)

_UNITS = {  # by the first words of a feature's name
    "clearance": "leg lengths",
    "trunk_shift": "shoulder widths",
    "foot outwards": "leg lengths",
    "knee outwards": "leg lengths",
    "heel outwards": "leg lengths",
    "hips' width": "leg lengths",
    "stance width": "leg lengths",
    "stride seconds": "s",
    "stance share": "share of the stride",
    "double support share": "share of the stride",
    "step share": "share of the stride",
    "step length": "body heights",
    "speed": "body heights per s",
    "EVGS HL": "heel rise: 0 feet adjacent, 1 opposite contact",
    "EVGS FCL": "leg lengths",
    "EVGS TLT": "shoulder widths",
}


def unit_of_feature(name: str) -> str:
    """Return the unit of a gait feature."""
    if name.endswith(" jerk"):
        return "log dimensionless jerk"
    return next((unit for start, unit in _UNITS.items() if name.startswith(start)), "degrees")


def strides_table(walk: ClipKinematics) -> pl.DataFrame:
    """Return the strides of both limbs as the table STRIDES."""
    import polars as pl

    rows = []
    for limb in LIMBS:
        for number, stride in enumerate(walk.strides[limb], 1):
            length = stride.next_contact - stride.contact
            double = (stride.opposite_off - stride.contact) + (stride.foot_off - stride.opposite_contact)
            times = (stride.contact, stride.opposite_off, stride.opposite_contact, stride.foot_off, stride.next_contact)
            shares = ((stride.foot_off - stride.contact) / length, double / length)
            rows.append((limb, number, *times, length, 120.0 / length, *shares))
    return pl.DataFrame(rows, schema=STRIDES.schema(), orient="row").fill_nan(None)


def features_table(walk: ClipKinematics) -> pl.DataFrame:
    """Return the features of both limbs as the table FEATURES."""
    import polars as pl

    rows = []
    for limb in LIMBS:
        values = describe_limb(walk, limb)
        rows += [(limb, name, float(values.get(name, np.nan)), unit_of_feature(name)) for name in NAMES]
    return pl.DataFrame(rows, schema=FEATURES.schema(), orient="row").fill_nan(None)
