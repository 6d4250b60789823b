"""The rules answer with the bands: 0 on an edge, atypical beyond it, and the majority where nothing was measured."""

from __future__ import annotations

import numpy as np
import pytest

from childgait.domain.evgs import CODES, TARGET_NAMES, binary
from childgait.gait.scoring import bands_of
from childgait.models.majority import prior_logit
from childgait.models.rules import LARGEST, Rules, beyond_band


@pytest.mark.parametrize("code", CODES)
def test_the_sign_is_what_the_band_scores(code: str) -> None:
    bands = bands_of(code)
    edges = np.array([edge for edge in (bands.zero_low, bands.zero_high) if np.isfinite(edge)])
    assert np.abs(beyond_band(edges, code)).max() < 1e-12
    span = np.linspace(edges.min() - 30, edges.max() + 30, 200)
    assert [int(logit > 0) for logit in beyond_band(span, code)] == [binary(bands.score(value)) for value in span]


def test_farther_out_is_surer_up_to_a_limit() -> None:
    column, values = TARGET_NAMES.index("R.KFX"), np.array([60.0, 52.0, 47.0, 40.0, 0.0])
    features = np.full((5, 34), np.nan)
    features[:, column] = values
    logits = Rules().predict({"prior": np.zeros(34)}, features)[:, column]
    assert np.allclose(logits, [-2.1, -0.5, 0.5, 1.9, LARGEST])


def test_what_was_not_measured_is_answered_by_the_majority() -> None:
    atypical = np.zeros((10, 34), np.float32)
    atypical[:7, 3] = 1
    features = np.full((2, 34), np.nan)
    features[0, 8] = 40.0  # left knee, bent in stance
    rules = Rules()
    logits = rules.predict(rules.fit(features, atypical, 0), features)
    assert logits[0, 8] > 0 > logits[1, 8]
    assert np.array_equal(logits[1], prior_logit(atypical))
    assert (logits[:, 3] > 0).all()
