"""What a model answers for children without scores: from the views that show an item, over all runs."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.model_description import ModelDescription
from childgait.files.parts import Part
from childgait.files.split import PARTS
from childgait.metrics.aggregate import WindowLogits
from childgait.models.registry import MODELS
from childgait.training import predict as prediction
from childgait.training.predict import TrainedModel, load_network, predictions_by_child
from support.small_study import settings

SIDE, END = TARGET_NAMES.index("L.KFX"), TARGET_NAMES.index("L.POB")
SHOWN = {"left": np.arange(34) != END, "forward": np.arange(34) == END}
ROWS = [("0004", "left"), ("0004", "forward"), ("0005", "left")]


def trained(level: float, children: list[str]) -> TrainedModel:
    description = ModelDescription.model_construct(
        model="coin", fold="holdout", children={"train": children, "validation": []}, facts={"level": level}
    )
    return TrainedModel(description, {})


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Part:
    """Two windows of the first video, one of each other; a video's logits tell which one it is."""

    def predict(
        model: Any, settings: Any, weights: Any, facts: dict[str, float], part: Part, windows_per_video: int
    ) -> WindowLogits:
        level = np.array([1.0, 3.0, -5.0, 7.0]) + facts["level"]
        return WindowLogits(np.array([0, 0, 1, 2]), np.zeros(4, int), np.repeat(level[:, None], 34, axis=1))

    monkeypatch.setattr(prediction, "predict", predict)
    monkeypatch.setattr(prediction, "settings_from", lambda description: None)
    rows = [{"video": f"{child}-0001_{view}_1-9", "subject": child, "view": view} for child, view in ROWS]
    return Part(pl.DataFrame(rows, schema=PARTS.schema()), [])


def test_the_views_that_show_an_item_answer(part: Part, caplog: pytest.LogCaptureFixture) -> None:
    children, logits = predictions_by_child([trained(0.0, ["0001"]), trained(1.0, ["0002"])], part, SHOWN, 2)
    assert children == ["0004", "0005"]
    assert logits[0, SIDE] == pytest.approx(2.5), "the mean of two windows, of two runs; the end view has no say"
    assert logits[0, END] == pytest.approx(-4.5)
    assert logits[1, END] == pytest.approx(7.5), "no recording shows it: another view answers, and that is said"
    assert "1 predictions are of children without a recording that shows the item" in caplog.text


def test_a_model_does_not_answer_for_whom_it_has_learnt_from(part: Part) -> None:
    with pytest.raises(StepError, match="coin, fold holdout, was trained on child 0005, whom it is to predict"):
        predictions_by_child([trained(0.0, ["0005"])], part, SHOWN, 2)


def test_weights_of_another_network_are_refused() -> None:
    weights = {"head.bias": np.zeros(34, np.float32)}
    with pytest.raises(
        StepError, match=r"the weights of tcn do not fit its description .*Missing key.*\. Hint: take both"
    ):
        load_network(MODELS["tcn"], settings(), weights, {"pixels": 32})
