"""A probe (gei, linear_probe) learns what is linear, ignores constants, and keeps the prior of a single class."""

import numpy as np
import pytest

from childgait.models.majority import prior_logit
from childgait.models.probe import Gei, LinearProbe


@pytest.mark.parametrize("kind", [Gei, LinearProbe])
def test_a_probe_learns_a_direction_from_known_labels_only(kind: type[Gei] | type[LinearProbe]) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(120, 30)) * random.uniform(0.1, 9, 30) + 5
    features[:, 3] = 2.0
    atypical = np.zeros((120, 34), np.float32)
    atypical[:, 7] = features[:, 0] > 5
    atypical[:60, 8], atypical[60:, 8] = np.nan, atypical[60:, 7]
    model = kind(penalty=0.01)
    weights = model.fit(features, atypical, seed=0)
    logits = model.predict(weights, features)
    for target in (7, 8):
        assert ((logits[:, target] > 0) == (atypical[:, 7] == 1)).mean() > 0.9
    assert not weights["weights"][:, 3].any()
    assert logits[:, 0] == pytest.approx(prior_logit(atypical)[0])
    moved = features.copy()
    moved[:, 3] = 99
    assert np.array_equal(model.predict(weights, moved), logits)


def test_a_larger_penalty_gives_smaller_weights() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(60, 10))
    atypical = np.repeat((features[:, :1] > 0).astype(np.float32), 34, axis=1)
    sizes = [np.abs(Gei(penalty).fit(features, atypical, 0)["weights"]).sum() for penalty in (0.01, 1.0, 100.0)]
    assert sizes[0] > sizes[1] > sizes[2]
