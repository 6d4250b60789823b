"""The submission's validator at the command line: the form, for whom, and the challenge's score."""

import json
from pathlib import Path

import numpy as np
import pytest

from childgait.commands.check_submission import check_submission
from childgait.errors import StepError
from childgait.files.submission import write_submission, write_subtypes


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Child 4 is predicted correctly; of child 5 all 17 left items are missed."""
    predictions = np.zeros((2, 34), bool)
    predictions[0, :3] = True
    write_submission(tmp_path / "submission.csv", ["0004", "0005"], predictions)
    (tmp_path / "split.csv").write_text("subject,part,reason\n0004,test,challenge\n0005,test,challenge\n")

    def side(atypical: range) -> dict[str, int]:
        return {str(number): 1 + number % 2 if number in atypical else 0 for number in range(1, 18)}

    rows = [
        {"patient_id": "0004", "left": side(range(1, 4)), "right": side(range(0))},
        {"patient_id": "0005", "left": side(range(1, 18)), "right": side(range(0))},
    ]
    (tmp_path / "labels.json").write_text(json.dumps(rows))
    return tmp_path / "submission.csv", tmp_path / "split.csv", tmp_path / "labels.json"


def test_the_score_is_the_challenges(files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    submission, lists, labels = files
    check_submission(submission, lists, labels)
    output = capsys.readouterr().out
    accuracy, rmse = 51 / 68, np.sqrt(17**2 / 2)
    assert "2 children, 34 predictions each; no problem found" in output
    assert f"score {(accuracy + 1 - rmse / 34) / 2:.4f}" in output
    assert f"RMSE of totals {rmse:.3f} / 34" in output


def test_children_that_the_list_does_not_name_are_refused(files: tuple[Path, Path, Path]) -> None:
    submission, lists, _ = files
    lists.write_text("subject,part,reason\n0004,test,challenge\n")
    with pytest.raises(StepError, match="has child 0005, who is not in the test"):
        check_submission(submission, lists)


def test_without_a_list_it_says_what_was_not_checked(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    submission, lists, _ = files
    lists.write_text("subject,part,reason\n")
    check_submission(submission, lists)
    assert "it was not checked which children must be covered" in capsys.readouterr().out


def test_both_tracks_give_the_whole_metric_by_hand(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three limbs with a type two are right; F1 of type1 is 2/3, of type2 0, of WNL 1."""
    submission, lists, labels = files
    folder = submission.parent
    write_subtypes(folder / "subtypes.csv", ["0004", "0005"], [("type1", "WNL"), ("type1", "type1")])
    (folder / "subjects.csv").write_text(
        "patient_id,age,sex,left_gait_type,right_gait_type\n4,8,f,type1,wnl\n5,9,m,type2,\n6,9,m,type2,type2\n"
    )
    flags = {"second": folder / "subtypes.csv", "types": folder / "subjects.csv", "joined": folder / "both.csv"}
    check_submission(submission, lists, labels, **flags)
    output = capsys.readouterr().out
    first = (51 / 68 + 1 - np.sqrt(17**2 / 2) / 34) / 2
    second = (2 / 3 + (2 / 3 + 0 + 1) / 3) / 2
    assert f"score {second:.4f} = ½ (accuracy + macro F1), over 3 limbs with a type" in output
    assert f"S = ½ (S1 {first:.4f} + S2 {second:.4f}) = {(first + second) / 2:.4f}" in output
    assert len((folder / "both.csv").read_text().splitlines()) == 5


def test_gait_types_that_nobody_states_give_no_score(
    files: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    submission, lists, labels = files
    folder = submission.parent
    write_subtypes(folder / "subtypes.csv", ["0004", "0005"], [("type1", "WNL"), ("type1", "type1")])
    (folder / "subjects.csv").write_text("patient_id,age,sex\n4,8,f\n5,9,m\n")
    check_submission(submission, lists, labels, second=folder / "subtypes.csv", types=folder / "subjects.csv")
    output = capsys.readouterr().out
    assert "states the gait type of none of them" in output
    assert "S = ½" not in output
