"""The challenge's file: what is written can be read, and whatever the challenge would not take is named."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.submission import (
    COLUMNS,
    ITEMS,
    join_submissions,
    read_submission,
    read_subtypes,
    write_submission,
    write_subtypes,
)

CHILDREN = ["0004", "0018"]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    answers = np.zeros((2, 34), bool)
    answers[0, TARGET_NAMES.index("L.WAD")] = answers[0, TARGET_NAMES.index("R.HVV")] = True
    write_submission(tmp_path / "submission.csv", CHILDREN, answers)
    return tmp_path / "submission.csv"


def test_columns_are_the_challenges(written: Path) -> None:
    first, four, eighteen = written.read_text().splitlines()
    assert first == (
        "ID,"
        + ",".join(f"{side}{number}" for side in "LR" for number in range(1, 18))
        + ",Total,Left_gait_subtype,Right_gait_subtype"
    )
    row = dict(zip(COLUMNS, four.split(","), strict=True))
    assert [name for name in ITEMS if row[name] == "1"] == ["L7", "R4"], "the item's number, not its place in a table"
    assert (row["ID"], row["Total"], row["Left_gait_subtype"]) == ("track1-4", "2", "-1")
    assert eighteen.startswith("track1-18,0,")


def test_what_is_written_is_read(written: Path) -> None:
    result = read_submission(written, set(CHILDREN))
    assert list(result) == CHILDREN
    assert sum(result["0004"]) == 2
    assert sum(result["0018"]) == 0


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swap("L17,", ""), r"lacks the column\(s\) L17"),
        (swap("L1,L2", "L2,L1"), "has its columns in another order"),
        (swap("track1-18", "track1-4"), "line 3: track1-4 is in it twice"),
        (swap("track1-18", "18"), "line 3: the ID is '18'"),
        (swap("track1-4,0", "track1-4,2"), "line 2: L1 is '2'"),
        (swap("track1-4,0", "track1-4,"), "line 2: L1 is ''"),
        (swap("track1-4,0", "track1-4,1"), "line 2: Total is '2', but the 34 items add up to 3"),
        (swap("2,-1,-1", "2,type1,-1"), "line 2: Left_gait_subtype is 'type1'"),
        (swap("2,-1,-1", "2,-1"), "line 2: 37 values, not 38"),
        (lambda text: text.rsplit("track1-18")[0], r"lacks child 0018, who is in the test \(1 such children\)"),
        (swap("track1-18", "track1-19"), "lacks child 0018"),
        (lambda text: "", r"lacks the column\(s\) ID"),
    ],
)
def test_whatever_the_challenge_would_not_take_is_named(
    written: Path, change: Callable[[str], str], words: str
) -> None:
    before = written.read_text()
    written.write_text(change(before))
    assert written.read_text() != before
    with pytest.raises(StepError, match=words):
        read_submission(written, set(CHILDREN))


def test_a_child_too_many_is_named(written: Path) -> None:
    with pytest.raises(StepError, match="has child 0018, who is not in the test"):
        read_submission(written, {"0004"})


def test_gait_types_are_the_rows_of_track_2(tmp_path: Path) -> None:
    path = tmp_path / "subtypes.csv"
    write_subtypes(path, ["0006", "0050"], [("type2", "WNL"), ("type4", "type4")])
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "track2-6," + "-1," * 35 + "type2,WNL"
    assert read_subtypes(path, {"0006", "0050"}) == {"0006": ["type2", "WNL"], "0050": ["type4", "type4"]}
    write_submission(tmp_path / "items.csv", ["0004"], np.zeros((1, 34), bool))
    join_submissions(tmp_path / "items.csv", path, tmp_path / "both.csv")
    assert (tmp_path / "both.csv").read_text().splitlines() == [
        *(tmp_path / "items.csv").read_text().splitlines(),
        *lines[1:],
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("track2-6", "track1-6", "the ID is 'track1-6'. Hint: IDs are track2- and"),
        ("type2", "jump", "Left_gait_subtype is 'jump'. Hint: gait types are WNL, type1, type2, type3, type4"),
        ("WNL", "-1", "Right_gait_subtype is '-1'"),
        ("-1,type2", "3,type2", "Total is '3'. Hint: a row of track 2 has -1 there"),
        ("track2-50", "track2-6", "track2-6 is in it twice"),
    ],
)
def test_gait_types_that_the_challenge_would_reject_are_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "subtypes.csv"
    write_subtypes(path, ["0006", "0050"], [("type2", "WNL"), ("type4", "type4")])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(StepError, match=re.escape(message)):
        read_subtypes(path)
