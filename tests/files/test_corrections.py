"""Rows of corrections.csv are checked before a run, whatever video they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from childgait.errors import StepError
from childgait.files.corrections import check_corrections, read_corrections

HEADER = "video,frame,last,joint,action,x,y,reason\n"


def written(tmp_path: Path, row: str) -> Path:
    path = tmp_path / "corrections.csv"
    path.write_text(f"{HEADER}{row}\n")
    return path


def test_a_table_without_the_newer_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text("video,frame,joint,x,y,reason\na,3,nose,1,2,moved\n")
    check_corrections(path)
    (one,) = read_corrections(path, "a", 9)
    assert (one.frame, one.x, one.y, one.seen) == (3, 1, 2, True)


def test_a_long_range_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[object, ...]] = []
    monkeypatch.setattr("childgait.files.corrections.Correction", lambda *values: made.append(values))
    check_corrections(written(tmp_path, "a,0,90000,nose,unseen,,,hidden"))
    assert len(made) == 1


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a,3,,tail,,1,2,moved", "line 2: there is no joint 'tail'"),
        ("a,3,,nose,hide,,,moved", "line 2: there is no action 'hide'"),
        ("a,3,,nose,,1,2,", "line 2: the correction has no reason"),
        ("a,3,,nose,,1e308,2,moved", "line 2: x and y are 1e\\+308 and 2.0"),
        ("a,3,,nose,,nan,2,moved", "line 2: x and y are nan and 2.0"),
        ("a,-3,,nose,,1,2,moved", "line 2: frame -3 is not in the video(?!,)"),
    ],
)
def test_a_row_of_any_video_is_checked(tmp_path: Path, row: str, sentence: str) -> None:
    with pytest.raises(StepError, match=sentence):
        check_corrections(written(tmp_path, row))
