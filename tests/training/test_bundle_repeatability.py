"""Repeatability that a bundle holds: of probabilities and totals over the walks of children unseen in training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import TARGETS, default_views
from childgait.metrics.repeatability import repeatability, repeated_curve
from childgait.metrics.scores import sigmoid
from childgait.training.bundle_repeatability import measure_repeatability

VIEWS = ("left", "forward", "right", "backward")
CHILDREN = [f"{number:04d}" for number in range(1, 9)]


@pytest.fixture
def predictions(tmp_path: Path) -> tuple[Path, dict[str, float]]:
    """Logits of every walk and target, and by `video/target` what they are."""
    random = np.random.default_rng(0)
    rows, logits = [], {}
    for child in CHILDREN:
        level = random.normal()
        for view in VIEWS:
            video = f"{child}-0001_{view}_1-99"
            for target in TARGETS:
                logit = level + random.normal(0, 0.5)
                logits[f"{video}/{target.name}"] = logit
                rows.append({"level": "video", "video": video, "view": view, "target": target.name, "logit": logit})
    path = tmp_path / "predictions.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path, logits


def run_named(name: str) -> Any:
    model = name.split("/", 1)[0]
    return SimpleNamespace(name=name, description=SimpleNamespace(model=model), calibrate=lambda logits: logits)


def test_probabilities_and_totals_are_compared_over_walks(predictions: tuple[Path, dict[str, float]]) -> None:
    path, logits = predictions
    views = default_views()
    other = run_named("other/holdout-0")  # only the main model counts
    shifted = path.with_name("other.parquet")
    pl.read_parquet(path).with_columns(pl.col("logit") * 3).write_parquet(shifted)
    measured = measure_repeatability([run_named("main/holdout-0"), other], [path, shifted], [], views)
    shown = views["KEX"]
    groups = [(child, limb) for child in CHILDREN for limb in "LR" for _ in shown]
    values = [
        float(sigmoid(np.array(logits[f"{child}-0001_{view}_1-99/{limb}.KEX"])))
        for child in CHILDREN
        for limb in "LR"
        for view in shown
    ]
    expected = repeatability(groups, values)
    assert measured.probability["KEX"].mdc95 == pytest.approx(expected.mdc95, abs=1e-5)
    assert (measured.probability["KEX"].groups, measured.probability["KEX"].walks) == (16, 32)
    both = measured.expected_atypical["both"]
    assert (both.groups, both.walks) == (8, 16)  # a side and an end view make a total: two per session
    assert measured.expected_atypical["limb"].groups == 16
    assert both.mdc95 is not None
    assert measured.rules["KEX"].reason == "fewer than two children with repeated walks"
    assert measured.curves["knee"].reason == "fewer than 19 pairs of walks"


def test_most_pairs_of_walks_stay_below_the_limit_of_a_curve() -> None:
    random, held = np.random.default_rng(1), []
    for _ in range(300):  # the share is one over studies
        limit = repeated_curve(list(random.gamma(2.0, 2.0, 60))).rms_limit
        assert limit is not None
        held.append(np.mean(random.gamma(2.0, 2.0, 200) <= limit))
    assert np.mean(held) == pytest.approx(0.95, abs=0.01)
    assert repeated_curve([1.0] * 18).rms_limit is None
    assert repeated_curve([1.0] * 19).rms_limit == 1.0
