"""The review sheets contain covered frames, the riskiest first, of every video of the subject."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from childgait.engine.run_step import run_command_line
from childgait.files.masks import FRAMES, write_masks
from childgait.files.regions import REGIONS
from childgait.files.tables import write_table
from childgait.files.video import read_frames, write_video
from childgait.steps.draw_sheets import draw_sheets
from childgait.vision.head_sheet import MAX_UNCOVERED, RISKIEST, SPREAD, riskiest_frames, write_head_strip

FRAME_COUNT = 20


def region(frame: int, **changes: Any) -> dict[str, Any]:
    row = {
        "frame": frame,
        "seconds": frame / 60,
        "region": 0,
        "whole": False,
        "source": "detected",
        "score": 0.9,
        "x0": 40,
        "y0": 10,
        "x1": 60,
        "y1": 30,
        "area": 400,
    }
    return {name: {**row, **changes}[name] for name in (column.name for column in REGIONS.columns)}


def table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=REGIONS.schema())


def share_of(picture: np.ndarray, shade: int) -> float:
    """Return the share of a picture that has the grey of one of the videos."""
    return float((np.abs(picture.astype(int) - shade) < 8).all(axis=-1).mean())


def test_the_riskiest_frames_are_chosen() -> None:
    rows = [region(frame) for frame in range(100)]
    rows[31] = region(31, whole=True)
    rows[64] = region(64, source="bridged", score=0.0)
    rows[80] = region(80, score=0.2)
    frames = riskiest_frames(table(rows), 100)
    assert {31, 64, 80} <= set(frames)
    assert {0, 99} <= set(frames)
    assert len(frames) <= RISKIEST + SPREAD


def test_neighbours_of_a_risky_frame_do_not_take_all_the_places() -> None:
    rows = [region(frame, whole=40 <= frame < 60) for frame in range(100)]
    risky = [frame for frame in riskiest_frames(table(rows), 100) if 40 <= frame < 60]
    assert 1 <= len(risky) <= 4  # two by risk, a tenth of the video apart, and what is spread evenly


def test_frames_in_which_nobody_is_covered_come_first() -> None:
    """They have no row in the table of regions."""
    rows = [region(frame, score=0.2 if frame == 10 else 0.9) for frame in range(60) if not 30 <= frame < 34]
    frames = riskiest_frames(table(rows), 100)
    assert {30, 60, 70} <= set(frames)  # the first three that lie apart
    assert 10 in frames
    assert len(frames) <= RISKIEST + SPREAD
    assert len([frame for frame in riskiest_frames(table([]), 100) if frame not in (0, 50, 99)]) <= MAX_UNCOVERED


def test_both_sheets_show_every_video(tmp_path: Path) -> None:
    videos, strips, masks, boxes = [], [], [], []
    for name, shade in (("0001-0001_left_1-20", 60), ("0001-0001_right_1-20", 160)):
        picture = np.full((90, 160, 3), shade, np.uint8)
        child = np.zeros((90, 160), bool)
        child[20:80, 60:90] = True
        videos.append(tmp_path / f"{name}.mp4")
        write_video(videos[-1], [picture] * FRAME_COUNT, [Fraction(n, 60) for n in range(FRAME_COUNT)])
        strips.append(tmp_path / f"{name}.heads.jpg")
        rows = [region(frame) for frame in range(FRAME_COUNT)]
        riskiest = riskiest_frames(table(rows), FRAME_COUNT)
        kept = [frame for frame in read_frames(videos[-1]) if frame.index in riskiest]
        write_head_strip(strips[-1], kept, name, FRAME_COUNT, table(rows), "sha256 0")
        masks.append(tmp_path / f"{name}.masks")
        write_masks(masks[-1], [child] * FRAME_COUNT)
        boxes.append(tmp_path / f"{name}.frames.parquet")
        rows = [
            {
                "frame": n,
                "seconds": n / 60,
                "x0": 60.0,
                "y0": 20.0,
                "x1": 90.0,
                "y1": 80.0,
                "area": 1800,
                "area_jump": 0.0,
                "border": False,
                "joints_inside": 1.0,
                "pieces": 1,
                "ok": True,
            }
            for n in range(FRAME_COUNT)
        ]
        write_table(boxes[-1], pl.DataFrame(rows, schema=FRAMES.schema()), FRAMES)
    heads, sheet = tmp_path / "0001.heads.jpg", tmp_path / "0001.masks.jpg"
    argv: list[str] = []
    for flag, paths in (("videos", videos), ("strips", strips), ("masks", masks), ("boxes", boxes)):
        argv += [f"--{flag}", *map(str, paths)]
    run_command_line(draw_sheets, [*argv, "--heads", str(heads), "--mask-sheet", str(sheet)], recorded=True)
    for path in (heads, sheet):
        drawn = cv2.imread(str(path))
        half = drawn.shape[0] // 2
        top, bottom = drawn[:half], drawn[half:]
        assert share_of(top, 60) > 0.03 > share_of(top, 160)
        assert share_of(bottom, 160) > 0.03 > share_of(bottom, 60)
