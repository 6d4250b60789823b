"""The Edinburgh Visual Gait Score: 17 items per limb, each scored 0 (typical), 1 or 2. The only list of items.

Item definitions and bands: EVGS Reference Guide v1.0 (Kearns, Jang 2019) after Read et al. 2003. Two column orders are
in circulation: the official numbering, and that of the ChildGait result tables, which put WAD (item 7) in column 4.
Index by code, never by column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Limb = Literal["left", "right"]
Plane = Literal["sagittal", "coronal"]
View = Literal["forward", "backward", "left", "right"]

LIMBS: tuple[Limb, Limb] = ("left", "right")
VIEWS: tuple[View, ...] = ("forward", "backward", "left", "right")
VIEWS_OF_PLANE: dict[Plane, tuple[View, ...]] = {"sagittal": ("left", "right"), "coronal": ("forward", "backward")}


@dataclass(frozen=True)
class Bands:
    """Score 0 inside [zero_low, zero_high], 2 outside [two_low, two_high], else 1.

    Printed bands are whole degrees with gaps (...15, 16...); the half-degree edges here close them.
    """

    two_low: float
    zero_low: float
    zero_high: float
    two_high: float

    def score(self, value: float) -> int:
        if self.zero_low <= value <= self.zero_high:
            return 0
        return 1 if self.two_low <= value <= self.two_high else 2


@dataclass(frozen=True)
class Item:
    """One of the 17 items. `bands` is None where the guide describes the score in words."""

    number: int
    code: str
    name: str
    region: Literal["foot", "ankle", "knee", "hip", "pelvis", "trunk"]
    plane: Plane
    phase: Literal["contact", "stance", "mid-stance", "swing", "terminal swing"]
    positive: str  # the direction in which the measured value counts up
    bands: Bands | None


ITEMS: tuple[Item, ...] = (
    Item(1, "IC", "initial contact", "foot", "sagittal", "contact", "toe up", None),
    Item(2, "HL", "heel lift", "foot", "sagittal", "stance", "later", None),
    Item(3, "SAD", "maximum ankle dorsiflexion in stance", "ankle", "sagittal", "stance", "dorsiflexion",
         Bands(-10.5, 4.5, 25.5, 40.5)),
    Item(4, "HVV", "hindfoot varus or valgus", "foot", "coronal", "stance", "valgus", Bands(-10.5, -0.5, 5.5, 15.5)),
    Item(5, "FRT", "foot rotation relative to the knee", "foot", "coronal", "stance", "external",
         Bands(-25.5, -0.5, 20.5, 40.5)),
    Item(6, "FCL", "foot clearance", "foot", "sagittal", "swing", "higher", None),
    Item(7, "WAD", "maximum ankle dorsiflexion in swing", "ankle", "sagittal", "swing", "dorsiflexion",
         Bands(-20.5, -5.5, 15.5, 30.5)),
    Item(8, "KPA", "knee progression angle", "knee", "coronal", "mid-stance", "external", None),
    Item(9, "KEX", "peak knee extension in stance", "knee", "sagittal", "stance", "flexion",
         Bands(-10.5, -0.5, 15.5, 25.5)),  # printed "<10" for severe hyperextension can only mean ">10"
    Item(10, "KPS", "knee position in terminal swing", "knee", "sagittal", "terminal swing", "flexion",
         Bands(-10.5, 4.5, 15.5, 30.5)),
    Item(11, "KFX", "peak knee flexion in swing", "knee", "sagittal", "swing", "flexion",
         Bands(34.5, 49.5, 70.5, 85.5)),
    Item(12, "HEX", "peak hip extension in stance", "hip", "sagittal", "stance", "extension",
         Bands(-15.5, -0.5, 20.5, 35.5)),
    Item(13, "HFX", "peak hip flexion in swing", "hip", "sagittal", "swing", "flexion", Bands(9.5, 24.5, 45.5, 60.5)),
    Item(14, "POB", "pelvic obliquity", "pelvis", "coronal", "mid-stance", "stance side up",
         Bands(-10.5, -0.5, 5.5, 15.5)),
    Item(15, "PRT", "pelvic rotation", "pelvis", "coronal", "mid-stance", "protraction",
         Bands(-15.5, -5.5, 10.5, 20.5)),
    Item(16, "TSG", "peak sagittal trunk position", "trunk", "sagittal", "stance", "forward",
         Bands(-math.inf, -5.5, 5.5, 15.5)),
    Item(17, "TLT", "maximum lateral trunk shift", "trunk", "coronal", "stance", "toward the stance side", None),
)  # fmt: skip

CODES: tuple[str, ...] = tuple(item.code for item in ITEMS)  # the official order, items 1-17
BY_CODE: dict[str, Item] = {item.code: item for item in ITEMS}
BY_NUMBER: dict[int, Item] = {item.number: item for item in ITEMS}

# The column order of the published ChildGait tables.
PUBLISHED_ORDER: tuple[str, ...] = (
    "IC", "HL", "SAD", "WAD", "HVV", "FRT", "FCL", "KPA", "KEX", "KPS", "KFX", "HEX", "HFX", "POB", "PRT", "TSG", "TLT",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One of the 34 targets of a model: an item of a limb."""

    limb: Limb
    code: str

    @property
    def name(self) -> str:
        """As in reports and metric keys: `L.IC`."""
        return f"{self.limb[0].upper()}.{self.code}"


TARGETS: tuple[Target, ...] = tuple(Target(limb, code) for limb in LIMBS for code in CODES)  # left 1-17, right 1-17
TARGET_NAMES: tuple[str, ...] = tuple(target.name for target in TARGETS)
MIRRORED: tuple[int, ...] = tuple((index + 17) % 34 for index in range(34))  # a mirrored picture exchanges the limbs


def binary(score: int) -> int:
    """Return typical (0) or atypical (1 for scores 1 and 2), as the dataset's authors merge them."""
    return int(score > 0)


def default_views() -> dict[str, list[View]]:
    """Return the views from which each item is scored, by its plane; params may override them per item."""
    return {item.code: list(VIEWS_OF_PLANE[item.plane]) for item in ITEMS}
