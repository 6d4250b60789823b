"""Rows of people are added and taken back; none is lost, and none is written that a step would refuse."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from childgait.errors import StepError
from childgait.files.annotations import rows_of
from childgait.files.regions import cleared_by
from childgait.review import decisions as module
from childgait.review.decisions import Changed, Decisions, check_reason, check_reviewer

VIDEO, OTHER = "0001-0001_left_1-24", "0002-0001_left_1-24"
OLD = f'# a remark\nvideo,sha256,reviewer,reason\n{OTHER},abc,XY,"one, two"\n\n'


def accept_any(path: Path) -> object:
    return path


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    (tmp_path / "cleared.csv").write_text(OLD)
    return Decisions(tmp_path, tmp_path / "review.jsonl")


def clear(decisions: Decisions, video: str = VIDEO, reviewer: str = "AB", sha256: str = "f00") -> None:
    version = decisions.version("cleared", video)
    decisions.add("cleared", video, [{"sha256": sha256}], reviewer, "seen, all covered", version, accept_any)


def test_a_row_has_reviewer_time_and_reason_and_the_rest_stays(decisions: Decisions) -> None:
    clear(decisions)
    path = decisions.path("cleared")
    assert path.read_text().startswith(f'# a remark\nvideo,sha256,reviewer,reason,time\n{OTHER},abc,XY,"one, two",\n\n')
    assert cleared_by(path, VIDEO, "f00") == "cleared by AB: seen, all covered"
    assert cleared_by(path, OTHER, "abc") == "cleared by XY: one, two"
    assert rows_of(path, ("time",))[-1][1]["time"].endswith("Z")


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_the_form_of_a_spreadsheets_file_is_kept(tmp_path: Path, ending: str) -> None:
    text = ending.join(["video,sha256,reviewer,reason", f"{OTHER},abc,XY,Müller"])
    (tmp_path / "cleared.csv").write_bytes(("\ufeff" + text).encode())  # without a newline at the end
    clear(Decisions(tmp_path))
    content = (tmp_path / "cleared.csv").read_bytes().decode()
    assert content.startswith(f"\ufeffvideo,sha256,reviewer,reason,time{ending}{OTHER},abc,XY,Müller,{ending}{VIDEO},")
    assert content.count("\n") == 3


def test_a_decision_can_be_taken_back(decisions: Decisions) -> None:
    clear(decisions)
    clear(decisions, reviewer="CD")
    one = decisions.decisions(VIDEO)[1]
    assert (one.reviewer, one.rows) == ("AB", 1)
    decisions.undo("cleared", VIDEO, "AB", one.time, decisions.version("cleared", VIDEO), accept_any)
    assert [row["reviewer"] for row in decisions.rows("cleared")] == ["XY", "CD"]
    with pytest.raises(Changed, match="has no decision of AB"):
        decisions.undo("cleared", VIDEO, "AB", one.time, decisions.version("cleared", VIDEO), accept_any)
    assert decisions.path("cleared").read_text().startswith("# a remark\n")


def test_a_change_underneath_is_noticed_and_nothing_is_written(decisions: Decisions) -> None:
    version = decisions.version("cleared", VIDEO)
    clear(decisions, reviewer="CD")
    before = decisions.path("cleared").read_bytes()
    with pytest.raises(Changed, match=r"was changed for 0001-0001_left_1-24 after this page was opened.*by CD"):
        decisions.add("cleared", VIDEO, [{"sha256": "1"}], "AB", "mine", version, accept_any)
    assert decisions.path("cleared").read_bytes() == before


def test_a_change_of_another_video_is_no_conflict(decisions: Decisions) -> None:
    version = decisions.version("cleared", VIDEO)
    clear(decisions, video=OTHER)
    decisions.add("cleared", VIDEO, [{"sha256": "1"}], "AB", "mine", version, accept_any)
    assert len(decisions.rows("cleared")) == 3


def test_a_row_that_the_reader_refuses_is_not_written(decisions: Decisions) -> None:
    def refuse(path: Path) -> object:
        raise StepError(f"{path}, line 4: is wrong", hint="mend it")

    before = decisions.path("cleared").read_bytes()
    with pytest.raises(StepError, match=r"nothing was written: .*/cleared\.csv, line 4: is wrong"):
        decisions.add("cleared", VIDEO, [{"sha256": ""}], "AB", "x", decisions.version("cleared", VIDEO), refuse)
    assert decisions.path("cleared").read_bytes() == before
    assert not list(decisions.folder.glob(".partial*"))


def test_a_full_disk_is_a_sentence_and_loses_nothing(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = decisions.path("cleared").read_bytes()
    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(StepError, match=r"the disk of .* is full; nothing was written"):
        clear(decisions)
    monkeypatch.undo()
    assert decisions.path("cleared").read_bytes() == before
    clear(decisions)  # the lock is free again
    assert len(decisions.rows("cleared")) == 2


def test_a_log_that_cannot_be_written_loses_no_decision(
    decisions: Decisions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    decisions.log = tmp_path / "cleared.csv" / "review.jsonl"  # below a file
    clear(decisions)
    assert len(decisions.rows("cleared")) == 2
    assert "seen, all covered" in caplog.text


def test_a_missing_table_is_made_and_an_unreadable_one_is_left(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    clear(decisions)
    assert decisions.path("cleared").read_text().startswith("video,sha256,reviewer,time,reason\n")
    decisions.path("cleared").write_text('video,sha256,reviewer,reason\n"open')
    with pytest.raises(StepError, match="open quotation mark"):
        clear(decisions)
    assert decisions.path("cleared").read_text().endswith('\n"open')


def test_new_files_are_closed_to_other_users(tmp_path: Path) -> None:
    before = os.umask(0o027)  # as the command line sets it
    clear(Decisions(tmp_path, tmp_path / "logs" / "review.jsonl"))
    os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3, "the table, the log and the lock"
    assert [path for path in files if path.stat().st_mode & 0o007] == []


def write_many(folder: Path, reviewer: str) -> None:
    decisions = Decisions(folder)
    for number in range(15):
        clear(
            decisions, video=f"{number + 1:04d}-0001_{'left' if reviewer == 'AB' else 'right'}_1-24", reviewer=reviewer
        )


def test_two_processes_lose_no_row(decisions: Decisions) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(decisions.folder, name)) for name in ("AB", "CD")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    rows = decisions.rows("cleared")
    assert [sum(row["reviewer"] == name for row in rows) for name in ("XY", "AB", "CD")] == [1, 15, 15]


@pytest.mark.parametrize("name", ["", " ", "=cmd", "a,b", "x" * 41, "a\nb", "-ab"])
def test_a_reviewers_name_is_a_plain_one(name: str) -> None:
    with pytest.raises(StepError, match="cannot be a reviewer"):
        check_reviewer(name)


def test_a_reason_is_one_line_without_formulas() -> None:
    assert check_reason(" two\nlines ") == "two lines"
    for reason in ("", "  ", "=1+1", "x" * 501):
        with pytest.raises(StepError):
            check_reason(reason)


def test_what_was_taken_back_stays_in_the_log(decisions: Decisions) -> None:
    clear(decisions)
    one = decisions.decisions(VIDEO)[0]
    decisions.undo("cleared", VIDEO, "AB", one.time, decisions.version("cleared", VIDEO), accept_any)
    assert decisions.log is not None
    assert [line[:16] for line in decisions.log.read_text().splitlines()] == [
        '{"action": "add"',
        '{"action": "undo'.ljust(16),
    ]
    assert module.COLUMNS["cleared"][:2] == ("video", "sha256")
