"""The form of `build_labels/agreement.json`: how far the raters agree, which `build_labels` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from childgait.files.json_files import read_typed


@dataclass(frozen=True)
class Coefficient:
    """A coefficient and the number of cases it rests on; `value` is None where undefined, with the reason."""

    value: float | None
    cases: int
    reason: str | None = None
    low: float | None = None  # bounds of the 95 % interval, where computed
    high: float | None = None


class RaterPair(BaseModel):
    """The agreement of two raters."""

    model_config = ConfigDict(frozen=True)

    raters: list[str]
    children: int  # scored by both
    weighted_kappa: dict[str, Coefficient]  # by item
    exact: dict[str, Coefficient]  # by item: share of equal scores
    icc_of_limb_totals: Coefficient


class RaterAgreement(BaseModel):
    """The agreement of all pairs of raters (none where one rater scored), and what a person should check."""

    model_config = ConfigDict(frozen=True)

    scale: str
    raters: list[str]
    labels_by: str  # the rater whose scores are the labels
    pairs: list[RaterPair]
    oddities: list[str]

    def write(self, path: Path) -> None:
        """Write the file."""
        from childgait.files.atomic import write_json

        write_json(path, self.model_dump())

    @classmethod
    def read(cls, path: Path) -> RaterAgreement:
        """Read the file and check its form."""
        return read_typed(path, cls, hint="run the step build_labels again")
