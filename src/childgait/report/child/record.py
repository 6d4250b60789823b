"""The form of child.json and child.csv: everything that the page of one child states."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from childgait.domain.evgs import Limb, View
from childgait.errors import StepError
from childgait.metrics.cells import Record

FORMAT = 2
Answer = Literal["typical", "atypical", "cannot tell"]


class RecordingQuality(Record):
    """Whether one recording was used, and what was measured of its quality. None: not known, as a step stopped."""

    video: str
    session: str
    view: View
    used: bool
    reasons: list[str]  # why it was not used
    remarks: list[str]  # what a reader should know though it was used
    seconds: float | None = None
    frames: int | None = None
    frames_per_second: float | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    verdict: str | None = None  # of the de-identification
    frames_covered: int | None = None  # frames with a covered head
    child_height_pixels: float | None = None
    share_legs_missing: float | None = None
    frames_swapped: int | None = None  # frames in which left and right leg were exchanged back
    strides_left: int | None = None
    strides_right: int | None = None


class RuleReading(Record):
    """The value that the rules measured for an item, its typical band, and the frame it was read at."""

    value: float
    unit: str
    score: int
    zero_low: float | None
    zero_high: float | None
    video: str
    frame: int  # of the clip, at its rate
    seconds: float  # since the video's first frame
    strides: int


class ItemAnswer(Record):
    """One item of one limb: the answer and what it rests on."""

    target: str  # L.IC ... R.TLT
    number: int
    code: str
    limb: Limb
    name: str
    answer: Answer
    reason: str | None  # why the answer is "cannot tell"
    evidence: bool  # whether the recordings show enough to answer at all
    probability: float | None  # calibrated probability of atypical, of the main model
    prediction_set: list[Literal["typical", "atypical"]]
    models: dict[str, float]  # the same of every model
    runs: dict[str, float]  # the same of every run of the bundle
    rule: RuleReading | None
    rule_answer: Literal["typical", "atypical"] | None


class TotalScore(Record):
    """Totals of a limb, or of both."""

    limb: Literal["left", "right", "both"]
    items: int  # items of the total: 17 or 34
    judged: int  # items with a probability and enough evidence
    answered: int  # items with an answer
    atypical: int  # answered atypical
    expected_atypical: float | None  # sum of probabilities; None unless every item is judged
    low: float | None
    high: float | None
    rule_score: int  # sum of the rules' scores, 0 to 2 per item
    rule_items: int  # items that the rules measured


class StrideStatistic(Record):
    """A spatiotemporal value of a limb: mean and standard deviation over strides."""

    name: str
    unit: str
    limb: Limb
    mean: float
    sd: float | None
    strides: int


class Asymmetry(Record):
    """The difference of left and right: 200 |L - R| / (L + R), in percent."""

    name: str
    percent: float


class ChildRecord(Record):
    """Everything that the page of one child, in one session, states."""

    format: int
    child: str
    session: str
    age_years: float | None
    sex: str
    bundle: str  # hash
    childgait: str  # version
    model: str  # the main model
    part: str | None  # of the study: test or validation; None for a new child
    synthetic: bool
    error_rate: float
    recordings: list[RecordingQuality]
    cadence_steps_per_minute: float | None
    speed_heights_per_second: float | None
    expected_stride_seconds: float | None  # healthy, at this age and speed
    strides: list[StrideStatistic]
    asymmetry: list[Asymmetry]
    norm: str  # what the band of the curves is
    items: list[ItemAnswer]
    totals: list[TotalScore]
    distance: float | None  # of the gait features from those of the training children
    distance_limit: float
    agreement_items: int  # items answered by the model and measured by the rules
    agreement: int  # of these, items with the same answer
    inputs: str  # hash of the recordings' records and of all else the answers depend on

    @property
    def fit(self) -> bool:
        """Whether any recording could be used."""
        return any(recording.used for recording in self.recordings)


CSV_COLUMNS = (
    "child",
    "session",
    "limb",
    "number",
    "code",
    "name",
    "answer",
    "reason",
    "probability",
    "rule_value",
    "rule_unit",
    "rule_score",
    "zero_low",
    "zero_high",
    "video",
    "frame",
    "seconds",
)


def write_csv(path: Path, records: list[ChildRecord]) -> None:
    """Write one row per limb and item of every record."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(CSV_COLUMNS)
        for record in records:
            for item in record.items:
                rule = item.rule
                read = (
                    (
                        rule.value,
                        rule.unit,
                        rule.score,
                        rule.zero_low,
                        rule.zero_high,
                        rule.video,
                        rule.frame,
                        rule.seconds,
                    )
                    if rule
                    else ("",) * 8
                )
                own = (item.limb, item.number, item.code, item.name, item.answer, item.reason, item.probability)
                values = (record.child, record.session, *own, *read)
                rows.writerow(["" if value is None else value for value in values])


def read_record(path: Path) -> ChildRecord:
    """Read child.json and check its form."""
    try:
        return ChildRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise StepError(
            f"{path}: {key}: {first['msg'].lower()}", hint="run `childgait score` again: the file is of another version"
        ) from None
