"""Gait types, knee alignment and scoliosis of synthetic children: all classes occur, and each shows in the joints."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from childgait.domain.evgs import LIMBS
from childgait.domain.skeleton import INDEX
from childgait.domain.tasks import CLASS_COLUMNS, TASKS
from childgait.files.labels import read_children
from childgait.params import Synthesize
from childgait.synthetic.child import Child
from childgait.synthetic.cohort import child_of, subject_facts, subjects_text
from childgait.synthetic.conditions import conditions_of, gait_type
from childgait.synthetic.motion import typical_walk
from support.small_study import PARAMS

SUBJECTS = 60
Row = tuple[Child, dict[str, str]]


def params(**changes: object) -> Synthesize:
    return Synthesize.model_validate({**PARAMS["synthesize"], "subjects": SUBJECTS, "conditions": True, **changes})


@pytest.fixture(scope="module")
def children() -> list[Row]:
    made = [child_of(index, params()) for index in range(SUBJECTS)]
    return [(child, conditions_of(child, scores)) for child, scores in made]


def test_every_class_occurs(children: list[Row]) -> None:
    for column, task in CLASS_COLUMNS.items():
        counts = Counter(classes[column] for _, classes in children)
        assert set(counts) == set(task.classes), (column, counts)
        assert min(counts.values()) >= 3, (column, counts)


@pytest.mark.parametrize(
    ("dorsiflexion", "knee", "expected"),
    [(10, 8, "WNL"), (-5, 8, "type1"), (-5, 25, "type2"), (9, 25, "type3"), (20, 25, "type4"), (20, 8, "WNL")],
)
def test_gait_types_by_hand(dorsiflexion: float, knee: float, expected: str) -> None:
    assert gait_type(dorsiflexion, knee) == expected


def frontal_valgus(child: Child) -> float:
    """Degrees by which shank and thigh bend sideways, of both limbs at their straightest: read from joints alone."""
    points = typical_walk(child).points
    bends = []
    for limb, sign in zip(LIMBS, (1, -1), strict=True):
        hip, knee, ankle = (points[:, INDEX[f"{limb}_{name}"]] for name in ("hip", "knee", "ankle"))
        lean = [
            np.degrees(np.arctan2(sign * (lower - upper)[:, 1], (upper - lower)[:, 2]))
            for upper, lower in ((hip, knee), (knee, ankle))
        ]
        bends.append(np.median(lean[1] - lean[0]))
    return float(np.mean(bends))


def shoulder_shift(child: Child) -> float:
    """Median shift of the shoulders' middle from the hips', in trunk lengths."""
    points = typical_walk(child).points
    middle = [
        (points[:, INDEX[f"left_{name}"], 1] + points[:, INDEX[f"right_{name}"], 1]) / 2 for name in ("shoulder", "hip")
    ]
    return abs(float(np.median(middle[0] - middle[1]))) / child.body["trunk"]


def test_alignment_and_list_show_in_the_joints(children: list[Row]) -> None:
    bent = {
        name: [frontal_valgus(c) for c, k in children if k["knee_alignment"] == name] for name in ("varum", "valgum")
    }
    assert np.median(bent["varum"]) < -5 < 5 < np.median(bent["valgum"])
    shift = {
        name: [shoulder_shift(c) for c, k in children if k["scoliosis"] == name] for name in TASKS["scoliosis"].classes
    }
    assert max(shift["negative"]) < min(shift["positive"])
    assert np.median(shift["negative"]) < np.median(shift["neutral"]) < np.median(shift["positive"])


def test_the_classes_are_read_from_subjects_csv(children: list[Row], tmp_path: Path) -> None:
    made = [child_of(index, params()) for index in range(4)]
    facts = [subject_facts(child, scores, params()) for child, scores in made]
    (tmp_path / "subjects.csv").write_text(subjects_text(facts, params()))
    table = read_children(tmp_path / "subjects.csv")
    assert table.select(list(CLASS_COLUMNS)).rows(named=True) == [classes for _, classes in children[:4]]
    plain = params(conditions=False)
    text = subjects_text([subject_facts(child, scores, plain) for child, scores in made], plain)
    assert text.splitlines()[0] == "patient_id,age_years,sex,diagnosis,aid,severity"


def test_without_conditions_the_children_are_as_before() -> None:
    plain = child_of(0, params(conditions=False))[0]
    with_them = child_of(0, params())[0]
    assert (plain.left.valgus, plain.right.valgus, plain.trunk_list) == (0, 0, 0)
    assert (plain.age_years, plain.sex, plain.body, plain.speed) == (
        with_them.age_years,
        with_them.sex,
        with_them.body,
        with_them.speed,
    )
