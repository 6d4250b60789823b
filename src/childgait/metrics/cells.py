"""One cell of a metrics table: a value with its 95 % interval, or the reason why the metric is undefined.

Every metric of a run, of a study and of the severity levels is written as such a cell, so that all files have one form:
`{"value", "low", "high"}`, or `{"value": null, "reason"}`. A mean over targets also has `over`, their number.
"""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

DIGITS = 6  # of a value in a file: equal bytes on machines whose last bits differ


class Record(BaseModel):
    """A part of a file with a fixed form: unknown keys are refused, keys without a value are not written."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Cell(Record):
    """A metric's value; `low` and `high` bound its 95 % interval, None where it has none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None  # why there is no value
    over: int | None = None  # number of targets that the value is a mean of

    def as_json(self) -> dict[str, object]:
        """Plain values for a file."""
        return self.model_dump(exclude_unset=True)


def make_cell(value: float, bounds: tuple[float, float] | None, reason: str, over: int | None = None) -> Cell:
    """Round a value and the bounds of its interval; a NaN becomes a cell with the `reason`."""
    size = {} if over is None else {"over": over}
    if np.isnan(value):
        return Cell(value=None, reason=reason, **size)
    low, high = bounds or (None, None)
    return Cell(value=round_value(value), low=round_value(low), high=round_value(high), **size)


def round_value(value: float | None) -> float | None:
    """Round to the digits that files keep; None stays None."""
    return None if value is None else round(float(value), DIGITS)
