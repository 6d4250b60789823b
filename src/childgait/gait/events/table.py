"""One gait event, and the table of a video's events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from childgait.domain.evgs import Limb
from childgait.files.tables import Column, Table

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["contact", "foot_off"]

EVENTS = Table(
    "events",
    ("limb", "kind", "seconds"),
    (
        Column("limb", "String", "left or right"),
        Column("kind", "String", "contact or foot_off"),
        Column("seconds", "Float64", "time since the video's first frame"),
        Column("frame", "Int32", "the nearest frame"),
        Column("method", "String", "standing (a foot rests), zeni, swing (by its signs), typical (as in other steps)"),
    ),
)


@dataclass(frozen=True)
class GaitEvent:
    """Initial contact or foot-off of one foot."""

    limb: Limb
    kind: Kind
    seconds: float
    frame: int
    method: str


def as_table(events: list[GaitEvent]) -> pl.DataFrame:
    """Return the events as the table EVENTS."""
    import polars as pl

    return pl.DataFrame(
        {
            "limb": [event.limb for event in events],
            "kind": [event.kind for event in events],
            "seconds": [round(event.seconds, 6) for event in events],
            "frame": [event.frame for event in events],
            "method": [event.method for event in events],
        },
        schema=EVENTS.schema(),
    )
