"""The sheet shows every video of a subject, and what is below the gate in another colour."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from childgait.files.masks import FRAMES, write_masks
from childgait.files.tables import write_table
from childgait.files.video import write_video
from childgait.vision.mask_sheet import BELOW, SPREAD, choose_frames, count_frames, reason, write_mask_sheet
from support.walk_scene import Scene


def row(frame: int, ok: bool = True, **changes: Any) -> dict[str, Any]:
    return {
        "frame": frame,
        "seconds": frame / 60,
        "x0": 20.0,
        "y0": 20.0,
        "x1": 60.0,
        "y1": 120.0,
        "area": 4000,
        "area_jump": 0.0,
        "border": False,
        "joints_inside": 1.0,
        "pieces": 1,
        "ok": ok,
        **changes,
    }


def test_frames_are_spread_and_those_below_the_gate_are_among_them() -> None:
    rows = [row(i, ok=i not in (7, 33)) for i in range(60)]
    rows[0]["area"] = 0
    selected = choose_frames(rows)
    assert len(selected) == SPREAD + 2
    assert selected[0] == 1
    assert selected[SPREAD - 1] == 59
    assert selected[SPREAD:] == [7, 33]
    assert len(choose_frames([row(i, ok=False) for i in range(60)])) == SPREAD + BELOW


def test_the_reason_is_written() -> None:
    assert reason(row(3, False, joints_inside=0.4, area_jump=0.31)) == "joints 0.40, jump 0.31, pieces 1"
    assert reason(row(3, False, area=0)) == "no mask, but keypoints"


def test_one_sheet_for_all_videos(tmp_path: Path) -> None:
    scene = Scene(frames=12)
    film = list(scene.film())
    videos = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for number, video in enumerate(videos):
        write_video(video, (pixels for pixels, _ in film), [Fraction(i, 60) for i in range(12)])
        write_masks(video.with_suffix(".masks"), (mask for _, mask in film))
        rows = [row(i, ok=number == 0 or i != 5) for i in range(12)]
        write_table(video.with_suffix(".parquet"), pl.DataFrame(rows, schema=FRAMES.schema()), FRAMES)
    sheets = [tmp_path / "1.jpg", tmp_path / "2.jpg"]
    for sheet in sheets:
        write_mask_sheet(
            sheet, videos, [v.with_suffix(".masks") for v in videos], [v.with_suffix(".parquet") for v in videos], {}
        )
    picture = cv2.imread(str(sheets[0])).astype(int)
    half = picture.shape[0] // 2
    orange = (picture[..., 2] > 200) & (np.abs(picture[..., 1] - 140) < 45) & (picture[..., 0] < 90)
    assert orange[:half].sum() < 20
    assert orange[half:].sum() > 60
    assert sheets[0].read_bytes() == sheets[1].read_bytes()


def test_the_header_states_how_often_covers_hide_the_child():
    assert count_frames([]) == 0
    assert count_frames(["60-140", "7"]) == 82
