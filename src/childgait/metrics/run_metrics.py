"""The form of `evaluate/{model}/{fold}-{seed}/metrics.json`: what one run predicts how well on its test children.

`natural` is the test children as they are: accuracy, Brier score and calibration error of calibrated probabilities, the
other metrics at the loss's own operating point, which gives both classes the same weight. `balanced` is reweighed to
equal classes; `tuned` is natural at thresholds fitted on validation children, 0.5 where those are fewer than 200.
`write` and `read` are the only way to such a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from childgait.files.json_files import read_typed
from childgait.files.model_description import PretrainingSummary
from childgait.metrics.abstention import Abstention
from childgait.metrics.cells import Cell, Record


class TargetMetrics(Record):
    """Every metric of one target, with the number of test children that have a label and a prediction."""

    accuracy: Cell
    balanced_accuracy: Cell
    f1: Cell
    f1_both: Cell
    auroc: Cell
    auprc: Cell
    sensitivity: Cell
    specificity: Cell
    ppv: Cell
    npv: Cell
    brier: Cell
    ece: Cell
    children: int
    atypical: int


class MetricsBlock(Record):
    """Metrics by target, and means over groups of targets: `overall`, `limb.left`, ... by metric."""

    targets: dict[str, TargetMetrics]
    groups: dict[str, dict[str, Cell]]


class ReliabilityBin(Record):
    """One bin of a reliability diagram: mean predicted probability and observed frequency, None in an empty bin."""

    start: float = Field(alias="from")
    end: float = Field(alias="to")
    cells: int
    mean_probability: float | None = None
    share_atypical: float | None = None


class CalibrationSummary(Record):
    """Calibration over all test cells together; null where no label is known."""

    brier: float | None
    ece: float | None
    ece_expected: float | None = None  # of a perfectly calibrated model with as many cells
    intercept: Cell | None = None  # at slope 1; 0 is perfect
    slope: Cell | None = None  # 1 is perfect
    reliability: list[ReliabilityBin]


class Recalibration(Record):
    """How calibrated probabilities follow from logits: intercept + slope * (logit - log weight)."""

    log_weight: dict[str, float]  # by target, of atypical scores in the loss
    intercept: dict[str, float]  # by item
    slope: dict[str, float]  # by item
    pooled_intercept: float
    pooled_slope: float


class Calibration(Record):
    """Calibration of the loss's probabilities, and of those after recalibration on validation children."""

    before: CalibrationSummary
    after: CalibrationSummary
    recalibration: Recalibration | None = None


class SubgroupMetrics(Record):
    """Mean metrics over targets for some of the children, or from one camera view."""

    children: int
    cells: int
    accuracy: Cell
    balanced_accuracy: Cell
    f1: Cell
    auroc: Cell | None = None


class ChallengeScore(Record):
    """The keypoint challenge's first metric, over the children with all 34 labels."""

    value: float | None
    accuracy: float | None = None
    rmse_of_total: float | None = None
    children: int | None = None
    reason: str | None = None


class Evaluation(Record):
    """All metrics of one run on its test children, the child being the unit."""

    unit: Literal["child"]
    children: dict[str, int]  # by part
    temperature: float  # inverse of the pooled slope of calibration.recalibration
    thresholds: dict[str, float]  # by target
    natural: MetricsBlock
    balanced: MetricsBlock
    tuned: MetricsBlock
    calibration: Calibration
    confusion: dict[str, dict[str, int]]  # by target: tp, fp, fn, tn
    subgroups: dict[str, SubgroupMetrics]
    challenge: ChallengeScore
    abstention: Abstention | None = None  # absent in files of before 2026-11-29


class TrainingLength(Record):
    """For how many epochs, at most, on how many frames per window and with which loss a network was trained."""

    epochs: int
    frames: int
    loss: Literal["bce", "focal", "class_balanced", "corn"] = "bce"  # left out of the file where it is the default


class ItemReading(Record):
    """A gait item measured by the rules in one child and limb: the value, its typical band, and where it was read."""

    subject: str
    limb: str
    code: str
    value: float
    zero_low: float | None  # the band that scores 0
    zero_high: float | None
    score: int | None
    video: str
    frame: int
    seconds: float


class AppearanceTest(Record):
    """How far probabilities move on synthetic walks where only the appearance differs, and where only the walk does."""

    children: int
    appearances: int
    repainted: float  # mean change of probability between two appearances of one walk
    other_walk: float  # between two walks in one appearance
    ratio: float | None  # of the two; None where nothing moves
    low: float | None  # 95 % interval of the ratio over draws of children
    high: float | None


class RunMetrics(Evaluation):
    """The metrics of one run beside its identity, inputs and cost."""

    model: str
    remark: str
    fold: str
    seed: int
    split_hash: str
    kept_epoch: int
    weights_from: str
    pretrained: PretrainingSummary | None = None  # the checkpoint that training started from
    trained: TrainingLength | None  # None for a model that is fitted in one go
    trained_on: dict[str, int]  # children by part
    inputs: list[str]
    parameters: int
    operations: int | None  # of one clip's forward pass; None for a table model
    importance: dict[str, dict[str, float]] | None = None  # by item: feature and share, of tree models
    measured: list[ItemReading] | None = None  # of models that read measured items
    appearance: AppearanceTest | None = None  # of networks that read pictures

    @property
    def name(self) -> str:
        return f"{self.model}, fold {self.fold}, seed {self.seed}"


def write_run_metrics(path: Path, metrics: RunMetrics) -> None:
    """Write metrics.json with stable bytes; optional keys without a value are left out."""
    from childgait.files.atomic import write_json

    write_json(path, metrics.model_dump(by_alias=True, exclude_unset=True))


def read_run_metrics(path: Path) -> RunMetrics:
    """Read metrics.json and check its form."""
    return read_typed(path, RunMetrics, hint="run evaluate again: the file has the form of another version")
