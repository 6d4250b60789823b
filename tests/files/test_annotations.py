"""A person's tables: read however a spreadsheet wrote them, or refused whole, in a sentence that names the line."""

from pathlib import Path

import pytest

from childgait.errors import StepError
from childgait.files.annotations import rows_by_video, rows_of, write_video_rows

COLUMNS = ("video", "frame", "reason")


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_rows_come_with_their_lines(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "table.csv"
    lines = ["# a remark", "video,frame,reason,more", 'a,,"here, there",x', "", "b,3,Müller,"]
    path.write_bytes(("\ufeff" + ending.join(lines) + ending).encode())
    assert rows_of(path, COLUMNS) == [
        (3, {"video": "a", "frame": "", "reason": "here, there", "more": "x"}),
        (5, {"video": "b", "frame": "3", "reason": "Müller", "more": ""}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"lacks the column\(s\) video, frame, reason"),
        (b"video;frame;reason\na;1;x\n", "a spreadsheet may write semicolons"),
        (b"video,frame,reason\na,1,M\xfcller\n", 'not text in UTF-8.*save it as "CSV UTF-8"'),
        (b"\x89PNG\r\n\x1a\n", "not text in UTF-8"),
        (b"video,frame,reason\na,1,x\na,1,here, there\n", "line 3: has more or fewer values"),
        (b"video,frame,reason\na,1\n", "line 2: has more or fewer values"),
    ],
)
def test_what_cannot_be_read_whole_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(StepError, match=f"table.csv.*{message}"):
        rows_of(path, COLUMNS)


def test_a_video_has_a_file_of_its_own_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row about another video leaves the file as it is, date included, so that nothing reruns."""
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "notes.csv"
    table.write_text('# remark\n"video",frame,reason\na,3,"one, two"\nb,4,x\n')
    path = write_video_rows(table, "a", rows_by_video(table)["a"])
    assert rows_of(path, COLUMNS) == [(3, {"video": "a", "frame": "3", "reason": "one, two"})]
    before = path.stat()
    assert before.st_mtime_ns == table.stat().st_mtime_ns
    table.write_text('video,frame,reason\nb,9,y\na,3,"one, two"\n')
    assert write_video_rows(table, "a", rows_by_video(table)["a"]).stat() == before
    table.write_text('video,frame,reason,reviewer,time\na,3,"one, two",,\nb,9,y,AB,now\n')  # the app adds columns
    assert write_video_rows(table, "a", rows_by_video(table)["a"]).stat() == before
    table.write_text("video,frame,reason\na,3,other\n")
    assert write_video_rows(table, "a", rows_by_video(table)["a"]).stat() != before
    assert "b" not in rows_by_video(table)
    assert rows_by_video(tmp_path / "none.csv") == {}
