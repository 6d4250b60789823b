"""An erased child does not come back: not as a recording, not as a synthetic child of the same number."""

import json
from pathlib import Path

import pytest

from childgait.errors import StepError
from childgait.files.tombstones import add_tombstone, is_erased, refuse_erased


@pytest.fixture(autouse=True)
def _erased(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    add_tombstone("0002", "2026-11-21", {"own files": 3})


def test_register_refuses_it():
    from childgait.domain.skeleton import LAYOUTS
    from childgait.steps.register import register

    video = Path("0002-0001_left_1-240.mp4")
    with pytest.raises(StepError, match="a child whose data was erased"):
        register(video, None, video.stem, next(iter(LAYOUTS)), Path("out.json"), None)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_demo_leaves_it_out(monkeypatch, processes):
    from childgait.synthetic import cohort

    class Params:
        subjects = 3

    class Pool:
        def __init__(self, *_, **__): ...
        def __enter__(self):
            return self

        def __exit__(self, *_): ...

        map = staticmethod(map)

    monkeypatch.setattr(cohort, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(cohort, "_make_child", lambda index, root, params: index)
    assert list(cohort._made(Path(), Params(), processes)) == [0, 2]


def test_two_tombstones_with_one_key():
    add_tombstone("0003", "2026-11-22", {})
    assert [is_erased(child) for child in ("0001", "0002", "0003")] == [False, True, True]
    stones = [json.loads(line) for line in Path("erased.jsonl").read_text().splitlines()]
    assert [stone["date"] for stone in stones] == ["2026-11-21", "2026-11-22"]


def test_another_key_gives_another_mark(tmp_path):
    first = json.loads(Path("erased.jsonl").read_text())["subject"]
    other = tmp_path / "other"
    other.mkdir()
    add_tombstone("0002", "2026-11-21", {}, other)
    assert json.loads((other / "erased.jsonl").read_text())["subject"] != first


def test_without_the_key_nothing_is_waved_through():
    Path("erased.key").unlink()
    with pytest.raises(StepError, match=r"not its key erased\.key"):
        refuse_erased("0001")
    with pytest.raises(StepError, match=r"not its key"):
        add_tombstone("0003", "2026-11-22", {})


def test_where_nobody_was_erased_everybody_may_come(tmp_path):
    refuse_erased("0002", tmp_path / "elsewhere")
