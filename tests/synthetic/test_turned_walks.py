"""A child who turns round in a video, and people who sit at the side: the truth must stay exact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from childgait.domain.evgs import LIMBS
from childgait.domain.names import parse_video_name
from childgait.domain.poses import make_poses
from childgait.domain.skeleton import INDEX
from childgait.engine.source_files import ROOT
from childgait.gait.events.turning import find_turn
from childgait.params import Synthesize, read_params
from childgait.synthetic.child import draw_child
from childgait.synthetic.cohort import write_cohort
from childgait.synthetic.motion import walk
from childgait.synthetic.truth import load_truth
from childgait.synthetic.turning import draw_turn
from childgait.synthetic.walks import sit_still

BONES = (("hip", "knee"), ("knee", "ankle"), ("heel", "big_toe"), ("shoulder", "elbow"), ("elbow", "wrist"))


def small(**changes: object) -> Synthesize:
    section = read_params(ROOT / "params.yaml")["synthesize"]
    usual = {"subjects": 2, "width": 192, "height": 108, "seconds": (0.5, 0.5), "rates": ["25"], "bystander": 0.0}
    usual |= {"missing_views": 0.0, "repeated_visits": 0.0, "sessions": 1}
    return Synthesize.model_validate(section | usual | changes)


@pytest.mark.parametrize("index", range(6))
def test_a_turn_keeps_the_body_and_reverses_the_walk(index: int) -> None:
    child = draw_child("0001", np.random.default_rng([5, index]))
    straight = walk(child, np.arange(0, 4, 1 / 60), seed=3)
    turn = draw_turn(straight, np.random.default_rng(index))
    turned = turn.bend(straight, np.zeros(3))
    for limb in LIMBS:
        for start, end in BONES:
            ends = [INDEX[f"{limb}_{name}"] for name in (start, end)]
            lengths = [
                np.linalg.norm(motion.points[:, ends[0]] - motion.points[:, ends[1]], axis=1)
                for motion in (straight, turned)
            ]
            assert np.abs(lengths[0] - lengths[1]).max() < 1e-9
    assert turned.curves is straight.curves
    assert turned.events == straight.events
    assert np.abs(turned.points[..., 2] - straight.points[..., 2]).max() < 1e-9
    before, after = straight.seconds < turn.times["start"], straight.seconds > turn.times["end"]
    assert np.abs(turned.points[before] - straight.points[before]).max() < 1e-9
    ahead = turned.points[:, INDEX["left_big_toe"], 0] - turned.points[:, INDEX["left_heel"], 0]
    assert ahead[before].mean() > 0.05 > -0.05 > ahead[after].mean()
    steps = np.linalg.norm(np.diff(turned.parts["pelvis"][:, :2], axis=0), axis=1)
    assert steps.max() < 3 * np.linalg.norm(np.diff(straight.parts["pelvis"][:, :2], axis=0), axis=1).max()


def test_written_turns_are_exact_and_found(tmp_path: Path) -> None:
    write_cohort(tmp_path / "turns", small(turns=1.0, seconds=(3.0, 3.0), width=128, height=72, subjects=2), 1)
    turned = 0
    for path in sorted((tmp_path / "turns" / "truth").glob("*_*.npz")):
        truth = load_truth(path)
        if truth.turn is None:  # a child with a walker or between parallel bars
            continue
        turned += 1
        view = parse_video_name(truth.video).view
        score = np.ones(truth.points.shape[:2], np.float32)
        moment = find_turn(make_poses(truth.seconds, truth.points.astype(np.float32), score), view)
        assert moment == pytest.approx(truth.turn["middle"], abs=0.45)
        frame = len(truth.seconds) // 2
        assert truth.heads["child"].shape == (len(truth.seconds), 4)
        seen = truth.visible[frame]
        inside = truth.mask(frame)[tuple(np.rint(truth.points[frame, seen]).astype(int).T[::-1])]
        assert inside.mean() > 0.8
    assert turned >= 4


def test_without_turns_the_truth_names_none(tmp_path: Path) -> None:
    write_cohort(tmp_path / "plain", small(), 1)
    for path in (tmp_path / "plain" / "truth").glob("*_*.npz"):
        truth = load_truth(path)
        assert truth.turn is None
        assert not truth.head_labels


@pytest.mark.parametrize("view", ["left", "forward"])
def test_somebody_who_sits_watches_the_walk_or_shows_the_back(view: str) -> None:
    child = draw_child("0001", np.random.default_rng(4))
    motion = walk(child, np.arange(0, 0.5, 0.1))
    camera = np.array([0.0, 1.0, 0.0]) if view == "left" else np.array([1.0, 0.0, 0.0])
    for number in (0, 1):
        seated, adult, offset, seat = sit_still(motion, view, number, np.random.default_rng(number))
        assert np.ptp(seated.points, axis=0).max() == 0
        gaze = seated.parts["head_frame"][0, :, 0]
        if number == 0:
            assert gaze @ (-offset / np.linalg.norm(offset)) > 0.3  # towards the walkway
        else:
            assert gaze @ camera < -0.9
        hips, knees, toes = (
            seated.points[0, [INDEX[f"{limb}_{name}"] for limb in LIMBS]] for name in ("hip", "knee", "big_toe")
        )
        assert np.abs(hips[:, 2] - knees[:, 2]).max() < 0.05 * adult.height
        assert np.abs(np.linalg.norm(hips - knees, axis=1) / adult.body["thigh"] - 1).max() < 0.03
        assert 0 <= toes[:, 2].min() < 0.03
        assert 0.1 * adult.height < seat < hips[:, 2].min()


def test_heads_of_seated_people_are_labelled(tmp_path: Path) -> None:
    write_cohort(tmp_path / "seated", small(seated_people=2, standing_people=2, bystander=1.0, subjects=2), 1)
    people = {"child", "bystander", "standing 1", "standing 2", "seated 1", "seated 2"}
    shown = set()
    for path in (tmp_path / "seated" / "truth").glob("*_*.npz"):
        truth = load_truth(path)
        assert truth.heads.keys() == people
        for who, label in truth.visible_heads(3).items():
            rows, columns = np.nonzero(label)
            if len(rows):
                shown.add(who)
                box = truth.heads[who][3]
                assert columns.min() >= box[0] - 1
                assert columns.max() <= box[2] + 1
                assert rows.min() >= box[1] - 1
                assert rows.max() <= box[3] + 1
    assert shown == people


def test_a_turn_of_a_companion_follows_the_child() -> None:
    child = draw_child("0001", np.random.default_rng(4))
    motion = walk(child, np.arange(0, 4, 1 / 30))
    turn = draw_turn(motion, np.random.default_rng(1))
    beside = replace(motion, points=motion.points.copy())
    turned, other = turn.bend(motion, np.zeros(3)), turn.bend(beside, np.array([0.1, 0.7, 0.0]))
    apart = np.linalg.norm(turned.parts["pelvis"] - other.parts["pelvis"], axis=1)
    assert apart == pytest.approx(np.hypot(0.1, 0.7), abs=1e-6)
