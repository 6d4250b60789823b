"""The cohort can be learned from, and only from what the children do.

Keypoints alone, without pictures: a plain classifier on the exact points of one view beats the majority on the items of
that view; with the cue taken out of the motion it does not; and what a picture shows beside the gait says nothing.

In the clinic's population one severity moves all joints, speed, stance and aid, so that these traces alone predict some
items (IC by .13, KPS by .11 above the majority). There the cue of an item is its joint and each trace of severity: with
the joints alone taken away a classifier reaches what the traces reach, with both taken away the majority.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from childgait.domain.evgs import CODES, LIMBS
from childgait.domain.skeleton import INDEX
from childgait.engine.source_files import ROOT
from childgait.params import Synthesize, read_params
from childgait.synthetic.camera import PASS_OF_VIEW, into_world, place_camera
from childgait.synthetic.child import Child
from childgait.synthetic.cohort import child_of
from childgait.synthetic.figure import draw_look
from childgait.synthetic.motion import walk
from childgait.synthetic.preview import planar_angles
from childgait.synthetic.rating import Scores, stream
from childgait.synthetic.scene import draw_lens, draw_room, paint_room

CHILDREN = 220
SAGITTAL = ("IC", "SAD", "WAD", "KEX", "KPS", "KFX", "HEX", "TSG")  # for the limb that is near
CORONAL = ("POB", "KPA")
POSED = (
    "hip",
    "knee",
    "ankle",
    "foot_pitch",
    "trunk_lean",
    "hip_rotation",
    "adduction",
    "rotation",
    "obliquity",
    "clearance",
    "foot_rotation",
    "hindfoot",
    "trunk_shift",
)  # every curve that an item of the side view, or its picture, depends on


@cache
def draw_children(population: str) -> list[tuple[Child, Scores]]:
    section = read_params(ROOT / "params.yaml")["synthesize"] | {"rater_margin": 1.0, "population": population}
    params = Synthesize.model_validate(section)
    return [child_of(index, params) for index in range(CHILDREN)]


@pytest.fixture(scope="module", params=("independent", "clinic"))
def drawn(request: pytest.FixtureRequest) -> list[tuple[Child, Scores]]:
    return draw_children(request.param)


@pytest.fixture(scope="module")
def independent() -> list[tuple[Child, Scores]]:
    return draw_children("independent")


@pytest.fixture(scope="module")
def clinic() -> list[tuple[Child, Scores]]:
    return draw_children("clinic")


def points_of(child: Child, view: str, neutral: tuple[str, ...]) -> np.ndarray:
    """The exact 2D keypoints of a stride and a half, from the left limb's contact."""
    seconds = np.linspace(0, 1.5, 91) * child.stride
    motion = walk(child, seconds, seed=1, neutral=neutral)
    offset = np.array([-motion.parts["pelvis"][:, 0].mean(), 0, 0])
    camera = place_camera(view, child.height, 640, 360, stream(3, int(child.subject)))
    pixels, _ = camera.project(into_world(motion.points + offset, PASS_OF_VIEW[view]))
    return pixels


def side_features(child: Child, neutral: tuple[str, ...] = ()) -> np.ndarray:
    """Joint curves of the near (left) limb, aligned to its contact: what a person with a protractor sees."""
    points = points_of(child, "left", neutral)
    angles = planar_angles(points, "left", -1.0)
    shoulders = points[:, [INDEX["left_shoulder"], INDEX["right_shoulder"]]].mean(axis=1)
    trunk = shoulders - points[:, [INDEX["left_hip"], INDEX["right_hip"]]].mean(axis=1)
    angles["trunk"] = np.degrees(np.arctan2(-trunk[:, 0], -trunk[:, 1]))
    cycle = slice(0, 61)
    parts = [
        np.r_[a[cycle][::4], a[cycle].min(), a[cycle].max(), a[3:36].max(), a[14:34].min()] for a in angles.values()
    ]
    return np.concatenate(parts)


def back_features(child: Child, neutral: tuple[str, ...] = ()) -> np.ndarray:
    """Seen from behind: pelvis tilt, and each left joint's place across the leg, in leg lengths."""
    points = points_of(child, "backward", neutral)
    hips = points[:, INDEX["right_hip"]] - points[:, INDEX["left_hip"]]
    tilt = np.degrees(np.arctan2(hips[:, 1], hips[:, 0]))
    hip, knee, ankle = (points[:, INDEX[f"left_{name}"]] for name in ("hip", "knee", "ankle"))
    toe = points[:, INDEX["left_big_toe"]]
    length = np.linalg.norm(ankle - hip, axis=1)
    across = [(knee - (hip + ankle) / 2)[:, 0] / length, (toe - ankle)[:, 0] / length]
    early = slice(6, 19)
    means = [tilt[early].mean(), *(curve[early].mean() for curve in across)]
    return np.concatenate([means, tilt[:61:4], *(curve[:61:4] for curve in across)])


def labels_of(drawn: list[tuple[Child, Scores]], code: str) -> np.ndarray:
    return np.array([scores["left"][code]["rated"] > 0 for _, scores in drawn]).astype(int)


def accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    model = ExtraTreesClassifier(50, min_samples_leaf=2, max_features=0.4, random_state=0)
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    return float((cross_val_predict(model, features, labels, cv=folds) == labels).mean())


def majority(labels: np.ndarray) -> float:
    return float(max(labels.mean(), 1 - labels.mean()))


def test_keypoints_of_the_side_view_beat_the_majority_on_its_items(drawn: list[tuple[Child, Scores]]) -> None:
    features = np.array([side_features(child) for child, _ in drawn])
    gains = {code: accuracy(features, y := labels_of(drawn, code)) - majority(y) for code in SAGITTAL}
    assert np.mean(list(gains.values())) > 0.10, gains
    assert sum(gain > 0.03 for gain in gains.values()) >= 6, gains


def test_keypoints_from_behind_beat_the_majority_on_coronal_items(drawn: list[tuple[Child, Scores]]) -> None:
    features = np.array([back_features(child) for child, _ in drawn])
    gains = {code: accuracy(features, y := labels_of(drawn, code)) - majority(y) for code in CORONAL}
    assert np.mean(list(gains.values())) > 0.06, gains


def gains_of(features: np.ndarray, drawn: list[tuple[Child, Scores]]) -> float:
    """Return by how much a classifier on the features beats the majority, in the mean over the side view's items."""
    labels = [labels_of(drawn, code) for code in SAGITTAL]
    return float(np.mean([accuracy(features, y) - majority(y) for y in labels]))


def without_severity(child: Child) -> Child:
    """Take away what severity changes beside the joints: speed, stance, lag, aid and a bent arm."""
    left, right = (replace(child.limb(limb), pattern="normal", strength=0.0, duty=0.0) for limb in LIMBS)
    return replace(child, left=left, right=right, speed=0.4, phase_lag=0.5, aid="none", bent_arm="")


def test_with_the_cue_removed_the_side_view_says_no_more_than_the_majority(
    independent: list[tuple[Child, Scores]],
) -> None:
    """Hip, knee, ankle and trunk move as in a normal child, the labels stay: nothing is left to be read."""
    features = np.array([side_features(child, POSED) for child, _ in independent])
    assert gains_of(features, independent) < 0.03


def test_with_the_cue_removed_a_clinics_child_shows_the_traces_of_severity_alone(
    clinic: list[tuple[Child, Scores]],
) -> None:
    removed = np.array([side_features(child, POSED) for child, _ in clinic])
    traces = np.array(
        [[child.speed, child.left.duty, child.right.duty, child.phase_lag, child.aid != "none"] for child, _ in clinic]
    )
    nothing = np.array([side_features(without_severity(child), POSED) for child, _ in clinic])
    assert gains_of(removed, clinic) < max(gains_of(traces, clinic), 0.0) + 0.03
    assert gains_of(nothing, clinic) < 0.03


def test_a_knee_item_is_in_the_knee_and_gone_without_it(drawn: list[tuple[Child, Scores]]) -> None:
    labels = labels_of(drawn, "KEX")

    def knee_only(neutral: tuple[str, ...]) -> np.ndarray:
        curves = [planar_angles(points_of(child, "left", neutral), "left", -1.0)["knee"] for child, _ in drawn]
        return np.array([np.r_[knee[:61:4], knee[12:36].min()] for knee in curves])

    assert accuracy(knee_only(()), labels) > majority(labels) + 0.08
    assert accuracy(knee_only(("knee",)), labels) < majority(labels) + 0.03


def test_looks_and_rooms_say_nothing_about_the_gait(drawn: list[tuple[Child, Scores]]) -> None:
    """Skin, clothes, face, room, exposure: a classifier on them alone stays at chance, over all 34 items."""
    rows = []
    for index in range(len(drawn)):
        look, rng = draw_look(stream(7, index, 2)), stream(7, index, 3, 1)
        rng.random()
        room, lens = draw_room(rng), draw_lens(stream(7, index, 4, 1, 0))
        view = place_camera("left", 1.3, 16, 9, stream(7, index, 9))
        face = look.head.seen_from(0)[32:96:8, 40:88:8, :3]
        clothes = np.r_[look.skin, look.shirt, look.trousers, look.build, look.stripes, look.long_trousers]
        walls = paint_room(room, view)[::2, ::2].ravel()
        rows.append(np.r_[clothes, face.mean(axis=2).ravel(), walls, lens.gain, lens.noise])
    features = np.array(rows, dtype=float)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    areas = []
    for limb in ("left", "right"):
        for code in CODES:
            labels = np.array([scores[limb][code]["rated"] > 0 for _, scores in drawn]).astype(int)
            if 20 <= labels.sum() <= len(labels) - 20:
                folds = StratifiedKFold(4, shuffle=True, random_state=1)
                chances = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1]
                areas.append(roc_auc_score(labels, chances))
    assert len(areas) > 20
    assert abs(np.mean(areas) - 0.5) < 0.045
