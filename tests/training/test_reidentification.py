"""The audit finds a planted identity and none in noise; the protector evens what identifies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from childgait.errors import StepError
from childgait.files.clips import Clip
from childgait.files.parts import Part, open_part
from childgait.metrics.reidentification import measure_identification, rank_hits
from childgait.params import Reidentify
from childgait.training.reidentification import (
    SESSIONS,
    WAYS,
    audit_features,
    halves_of,
    identity_scores,
    limb_lengths,
    protect,
)
from support.identified_study import make_identified_study
from support.small_study import PARAMS

CHILDREN = 24
PARAMETERS = Reidentify.model_validate({**PARAMS["reidentify"], "bootstrap": 50, "folds": 3})


def named_clips(children: int, views: tuple[str, ...] = ("forward", "backward", "left", "right")) -> list[Clip]:
    """Clips without files."""
    return [
        Clip(Path("none"), f"{number:04d}-0001_{view}_1-9", view, 9, 32, 30.0, ())
        for number in range(1, children + 1)
        for view in views
    ]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """Eight children with thighs of their own."""
    import polars as pl

    study = make_identified_study(tmp_path_factory.mktemp("study"))
    parts = [open_part(path, study.clips) for path in (study.train, study.validation, study.test)]
    return Part(pl.concat([each.table for each in parts]), [clip for each in parts for clip in each.clips])


def test_a_constant_per_child_is_identified() -> None:
    clips, random = named_clips(CHILDREN), np.random.default_rng(0)
    constant = np.repeat(random.normal(size=(CHILDREN, 12)), 4, axis=0)
    children, scores = identity_scores(constant + 0.2 * random.normal(size=constant.shape), clips, 48)
    assert len(children) == CHILDREN
    assert rank_hits(scores, 1).mean() > 0.95


def test_noise_identifies_nobody() -> None:
    clips = named_clips(CHILDREN)
    _, scores = identity_scores(np.random.default_rng(3).normal(size=(len(clips), 12)), clips, 48)
    result = measure_identification(scores, [WAYS] * CHILDREN, draws=200, seed=0)
    for cell, chance in ((result.rank_1, result.chance_1), (result.rank_5, result.chance_5), (result.eer, 0.5)):
        assert cell.low is not None
        assert cell.high is not None
        assert chance is not None
        assert cell.low <= chance <= cell.high


def test_halves_are_sessions_where_there_are_several() -> None:
    clips = named_clips(2)
    later = [Clip(Path("none"), f"0002-0003_{view}_1-9", view, 9, 32, 30.0, ()) for view in ("left", "right")]
    first, kinds = halves_of([*clips, *later])
    assert kinds == {"0001": WAYS, "0002": SESSIONS}
    assert first.tolist() == [True, False, True, False] + [True] * 4 + [False] * 2


def test_children_without_a_second_half_are_left_out() -> None:
    clips = named_clips(4)[1:]  # 0001 came without a forward view: its plane of front and back has one half
    features = np.random.default_rng(0).normal(size=(len(clips), 5))
    children, scores = identity_scores(features, clips, 48)
    assert children == ["0001", "0002", "0003", "0004"]
    assert np.isfinite(scores).all()
    with pytest.raises(StepError, match="only 0 children have two halves"):
        identity_scores(features, named_clips(5, ("forward", "left", "left"))[:15], 48)


def test_limbs_identify_until_the_protector_evens_them(part: Part) -> None:
    plain = audit_features("proportions", 0.0, limb_lengths(part.clips), part, PARAMETERS)
    protected = limb_lengths(protect(part.clips, 1.0))
    assert plain.identification.rank_1.value is not None
    assert plain.identification.rank_1.value >= 0.75
    assert np.allclose(protected, protected[0], atol=1e-3)
    assert np.ptp(limb_lengths(part.clips), axis=0).max() > 0.05


def test_the_protector_takes_the_colours_of_the_child_alone(part: Part) -> None:
    clip, covered = part.clips[0], protect(part.clips[:2], 1.0)[0]
    index = np.arange(3)
    masks = clip.masks(index)
    assert covered.frames(index)[masks].std() == 0
    assert np.array_equal(covered.frames(index)[~masks], clip.frames(index)[~masks])
    assert covered.video == clip.video


def test_items_that_show_are_predicted_for_children_not_fitted_on(part: Part) -> None:
    random = np.random.default_rng(0)
    sick = np.array([int(clip.subject) % 2 for clip in part.clips])
    audited = audit_features("cue", 0.0, sick[:, None] + 0.1 * random.normal(size=(len(sick), 3)), part, PARAMETERS)
    assert audited.items.value is not None
    assert audited.items.value > 0.9
    noise = audit_features("noise", 0.0, random.normal(size=(len(sick), 40)), part, PARAMETERS)
    assert noise.items.value is not None
    assert noise.items.value < 0.8
