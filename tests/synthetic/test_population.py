"""The clinic's population: items correlate and totals spread as published, severe scores are rare, raters have bands of
their own; and the stream of pre-training stays what the shipped checkpoint was trained on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from childgait.domain.evgs import CODES, LIMBS
from childgait.domain.names import parse_video_name
from childgait.engine.source_files import ROOT
from childgait.gait.scoring import bands_of
from childgait.params import Synthesize, read_params
from childgait.report.published import CHILD_TOTAL_SD, ITEM_CORRELATIONS, LIMB_TOTAL_SD, PREVALENCE
from childgait.synthetic.child import Child
from childgait.synthetic.cohort import child_of, write_cohort
from childgait.synthetic.population import base_child
from childgait.synthetic.rating import RATINGS, Scores, draw_rater, rate_child, stream
from childgait.synthetic.recording import sessions_of
from childgait.synthetic.truth import load_truth
from childgait.training.walk_windows import OutlineCache
from support.mirror import mirrored
from support.walk_stream import COHORT_ERRORS, stream_settings

CHILDREN = 250
# The pairs whose correlation the independent population misses.
LISTED = (("IC", "KPS"), ("TSG", "TLT"), ("FCL", "WAD"), ("KFX", "HFX"), ("IC", "HL"))


@pytest.fixture(scope="module")
def params() -> Synthesize:
    return Synthesize.model_validate(read_params(ROOT / "params.yaml")["synthesize"] | {"population": "clinic"})


@pytest.fixture(scope="module")
def drawn(params: Synthesize) -> list[tuple[Child, Scores]]:
    return [child_of(index, params) for index in range(CHILDREN)]


def scores_of(drawn: list[tuple[Child, Scores]], rating: str) -> np.ndarray:
    return np.array([[[scores[limb][code][rating] for code in CODES] for limb in LIMBS] for _, scores in drawn])


def correlation(atypical: np.ndarray, one: str, other: str) -> float:
    pair = [atypical[:, :, CODES.index(code)].ravel() for code in (one, other)]
    return float(np.corrcoef(*pair)[0, 1])


def test_items_correlate_as_published(drawn: list[tuple[Child, Scores]]) -> None:
    atypical = scores_of(drawn, "rated") > 0
    off = {pair: correlation(atypical, *pair) - ITEM_CORRELATIONS[pair] for pair in ITEM_CORRELATIONS}
    assert all(abs(off[pair]) <= 0.15 for pair in LISTED), off
    assert sum(abs(value) <= 0.15 for value in off.values()) >= 10, off
    agree = (atypical[:, 0, CODES.index("POB")] == atypical[:, 1, CODES.index("POB")]).mean()
    assert abs(agree - PREVALENCE["POB"].agreement) <= 0.15


def test_totals_spread_as_published_and_severe_scores_are_rare(drawn: list[tuple[Child, Scores]]) -> None:
    scores = scores_of(drawn, "rated")
    totals = (scores > 0).sum(axis=2)
    assert totals.std() == pytest.approx(LIMB_TOTAL_SD, rel=0.15)
    assert totals.sum(axis=1).std() == pytest.approx(CHILD_TOTAL_SD, rel=0.15)
    assert (scores == 2).sum() / (scores > 0).sum() < 0.12


def test_the_aid_depends_on_severity_and_some_children_develop_typically(drawn: list[tuple[Child, Scores]]) -> None:
    totals = (scores_of(drawn, "rated") > 0).sum(axis=(1, 2))
    aided = np.array([child.aid != "none" for child, _ in drawn])
    typical = np.array([child.diagnosis == "typical development" for child, _ in drawn])
    assert 0.1 < aided.mean() < 0.3
    assert totals[aided].mean() > totals[~aided].mean() + 2
    assert 0.03 < typical.mean() < 0.15
    assert totals[typical].mean() < totals[~typical].mean() - 4
    assert not aided[typical].any() or aided[typical].mean() < 0.1


def test_the_bands_do_not_hold_the_answers_of_the_raters(drawn: list[tuple[Child, Scores]]) -> None:
    """Per item a rater and the bands differ, also beyond the margin that the independent population has."""
    by_bands, *rated = (scores_of(drawn, rating) > 0 for rating in ("score", *RATINGS))
    for labels in rated:
        assert 0.75 < (labels == by_bands).mean() < 0.94
    per_item = (rated[0] == by_bands).mean(axis=(0, 1))
    assert (per_item < 0.97).sum() >= 10
    assert 0.75 < (rated[0] == rated[1]).mean() < 0.94


def test_a_rater_is_the_same_for_all_children_and_has_own_windows_bands_and_bias() -> None:
    rater, again, other = (draw_rater(stream(7, 0, 7, number)) for number in (0, 0, 1))
    assert rater == again
    for code in CODES:
        assert rater[code] != other[code]
        assert rater[code].late != 0
        assert rater[code].bias != 0
        own = rater[code].bands
        assert own.two_low <= own.zero_low < own.zero_high <= own.two_high
        assert own != bands_of(code)


def test_a_mirrored_child_has_mirrored_scores_by_either_rater(drawn: list[tuple[Child, Scores]]) -> None:
    """Without a margin; what differs stands at a band's edge, where sampling decides."""
    raters = [draw_rater(stream(7, 0, 7, number)) for number in range(len(RATINGS))]
    same = []
    for child, _ in drawn[:12]:
        plain, other = (rate_child(one, 0.0, stream(1), raters) for one in (child, mirrored(child)))
        same += [
            plain[limb][code][rating] == other[mirror][code][rating]
            for limb, mirror in zip(LIMBS, LIMBS[::-1], strict=True)
            for code in CODES
            for rating in RATINGS
        ]
    assert np.mean(same) > 0.97


def test_only_the_gait_differs_between_the_populations(params: Synthesize) -> None:
    for index in range(8):
        child, base = child_of(index, params)[0], base_child(index, params)
        for name in ("subject", "age_years", "sex", "height", "body", "stride", "arm_swing"):
            assert getattr(child, name) == getattr(base, name)
        assert child.left != base.left


def test_a_share_of_children_comes_once_more(params: Synthesize) -> None:
    often = params.model_copy(update={"repeated_visits": 0.3})
    never = params.model_copy(update={"repeated_visits": 0.0})
    visits = [sessions_of(index, often) - params.sessions for index in range(400)]
    assert set(visits) == {0, 1}
    assert np.mean(visits) == pytest.approx(0.3, abs=0.08)
    assert all(sessions_of(index, never) == params.sessions for index in range(50))


def test_the_stream_of_pretraining_is_unchanged() -> None:
    """Cached outlines and the shipped checkpoint rest on it. Floats are compared to a hundredth of their unit."""
    digest = hashlib.sha256()
    streams = ((0, 990001, {}), (7, 990001, {"bystander": 1.0, **COHORT_ERRORS}), (3, 990002, COHORT_ERRORS))
    for child, seed, changes in streams:
        cache = OutlineCache(seed, stream_settings(**changes))
        for place in range(4):
            for name, values in sorted(cache.view(child, place).arrays().items()):
                digest.update(name.encode())
                digest.update((np.round(values, 2) if values.dtype.kind == "f" else values).tobytes())
    assert digest.hexdigest() == "ec919f310cbaa5d9706d25afdd9cf38ae9354c8bbae0db6a065e14f032fb7188"


def test_the_second_rater_is_named_and_a_repeated_visit_has_the_childs_videos(tmp_path: Path) -> None:
    section = read_params(ROOT / "params.yaml")["synthesize"]
    small = {"subjects": 2, "width": 64, "height": 64, "seconds": (0.5, 0.5), "missing_views": 0.0, "sessions": 1}
    changes = {"population": "clinic", "repeated_visits": 1.0, "bystander": 1.0}
    write_cohort(tmp_path / "clinic", Synthesize.model_validate(section | small | changes), 1)
    labels = json.loads((tmp_path / "clinic/labels.json").read_text())
    assert [(row["patient_id"], row.get("rater")) for row in labels] == [
        ("0001", None),
        ("0001", "second"),
        ("0002", None),
        ("0002", "second"),
    ]
    truths = [load_truth(path) for path in sorted((tmp_path / "clinic/truth").glob("*.npz"))]
    assert len(truths) == 16
    for truth in truths:
        assert ("bystander" in truth.heads) == (parse_video_name(truth.video).session == "0001")
