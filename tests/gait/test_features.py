"""What is measured on a clip is what the walk had, wherever the crop was, and every number says where it was read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import CODES, TARGET_NAMES
from childgait.domain.skeleton import INDEX, MIRRORED
from childgait.files.clips import Clip, ClipEvent, open_clip
from childgait.files.tables import write_table
from childgait.gait.features import MEASURED, NAMES, item_values, kinematics, measure_clip, measure_items
from childgait.vision.crop import Square, to_crop
from support.stick_child import Walk, walk

SIZE, RATE = 112, 30.0


def write_clip(
    folder: Path,
    view: str,
    true: Walk,
    *,
    subject: str = "0001",
    start: float = 0.5,
    sway: int = 3,
    events: bool = True,
) -> Clip:
    """A clip of points whose crop follows the child, sways and breathes."""
    video, frames = f"{subject}-0001_{view}_1-99", np.arange(len(true.xy))
    middle = np.nanmean(true.xy, axis=1)
    squares = [
        Square(int(x) - 90 + sway * (n % 5), int(y) - 100 - sway * (n % 3), 200 + sway * (n % 7))
        for n, (x, y) in zip(frames, middle, strict=True)
    ]
    placed = np.stack([to_crop(at, square, SIZE) for at, square in zip(true.xy, squares, strict=True)])
    scored = np.concatenate([placed, np.full((*placed.shape[:2], 1), 0.9)], axis=2)
    np.save(folder / f"{video}.points.npy", scored.astype(np.float32))
    moments = [
        str(ClipEvent(limb, kind, round(time * RATE), start + time))
        for kind, of in (("contact", true.contacts), ("foot_off", true.foot_offs))
        for limb, times in of.items()
        for time in times
    ]
    facts = {
        "video": video,
        "view": view,
        "frames": len(frames),
        "size": SIZE,
        "rate": RATE,
        "start_seconds": start,
        "events": moments if events else [],
        "crops": [f"{s.left} {s.top} {s.side}" for s in squares],
    }
    path = folder / f"{video}.clip.json"
    path.write_text(json.dumps(facts))
    return open_clip(path)


def part_of(*clips: Clip) -> tuple[pl.DataFrame, dict[str, Clip]]:
    rows = [{"video": clip.video, "subject": clip.video[:4], "view": clip.view} for clip in clips]
    return pl.DataFrame(rows), {clip.video: clip for clip in clips}


def mirrored(true: Walk) -> Walk:
    """The same walk in a mirror: the other way across the picture, left and right changed."""
    xy = true.xy[:, list(MIRRORED)].copy()
    xy[..., 0] = 639 - xy[..., 0]
    swap = lambda of: {"left": of["right"], "right": of["left"]}  # noqa: E731
    return Walk(
        true.seconds, xy, *(swap(of) for of in (true.contacts, true.foot_offs, true.knee, true.hip, true.ankle))
    )


def test_the_table_says_value_band_score_and_moment(tmp_path: Path) -> None:
    true = walk("right", rate=RATE)
    table = measure_items([write_clip(tmp_path, "right", true)])
    write_table(tmp_path / "measured.parquet", table, MEASURED)  # checks types and key
    flexion = table.row(by_predicate=(pl.col("limb") == "right") & (pl.col("code") == "KFX"), named=True)
    assert flexion["value"] == pytest.approx(true.knee["right"].max(), abs=2.5)
    assert (flexion["zero_low"], flexion["zero_high"], flexion["score"], flexion["near"]) == (49.5, 70.5, 0, True)
    assert flexion["strides"] >= 2
    peak = true.knee["right"][round((flexion["seconds"] - 0.5) * RATE)]
    assert peak == pytest.approx(true.knee["right"].max(), abs=1.5)
    assert flexion["frame"] == pytest.approx((flexion["seconds"] - 0.5) * RATE, abs=0.51)
    assert set(table["code"]) == set(CODES) - {"HVV", "FRT", "KPA", "POB", "PRT", "TLT"}  # what a side view shows
    contact = table.filter(pl.col("code") == "IC")
    assert contact["zero_high"].null_count() == contact.height  # open above


def test_a_stiff_knee_is_told_apart_from_a_normal_one(tmp_path: Path) -> None:
    for knee, score in ((0.0, 0), (-20.0, 1)):
        table = measure_items([write_clip(tmp_path, "right", walk("right", rate=RATE, knee=knee))])
        assert table.filter(pl.col("code") == "KFX")["score"].to_list() == [score, score]


def test_where_the_crop_was_does_not_matter(tmp_path: Path) -> None:
    true = walk("left", rate=RATE)
    numbers = []
    for sway in (0, 9):
        folder = tmp_path / str(sway)
        folder.mkdir()
        numbers.append(kinematics(*part_of(write_clip(folder, "left", true, sway=sway))))
    assert np.isfinite(numbers[0]).mean() > 0.6
    assert np.allclose(*numbers, atol=0.05, equal_nan=True)


def test_a_mirrored_walk_has_its_limbs_changed(tmp_path: Path) -> None:
    for view, other in (("right", "left"), ("forward", "forward")):
        true = walk(view, rate=RATE, knee=8.0)
        true.xy[:, INDEX["left_hip"], 1] -= 2
        here = kinematics(*part_of(write_clip(tmp_path, view, true)))
        there = kinematics(*part_of(write_clip(tmp_path, other, mirrored(true))))
        assert np.allclose(here.reshape(2, -1), there.reshape(2, -1)[::-1], atol=0.05, equal_nan=True)
        assert not np.allclose(*here.reshape(2, -1), atol=0.05, equal_nan=True)


def test_a_limb_is_read_where_it_is_near(tmp_path: Path) -> None:
    """The left limb bends differently in the two recordings; the one that shows it near counts, alone if need be."""
    near = write_clip(tmp_path, "left", walk("left", rate=RATE))
    far = write_clip(tmp_path, "right", walk("right", rate=RATE, knee=15.0))
    column = TARGET_NAMES.index("L.KFX")
    both, alone, other = (item_values(*part_of(*clips))[0, column] for clips in ((near, far), (near,), (far,)))
    assert both == alone
    assert other > both + 10


def test_an_end_view_shows_what_a_side_view_does_not(tmp_path: Path) -> None:
    clip = write_clip(tmp_path, "forward", walk("forward", rate=RATE))
    assert set(measure_items([clip])["code"]) == {"POB", "TLT"}
    numbers = dict(zip(NAMES, kinematics(*part_of(clip))[0], strict=False))
    shown = {name for name, value in numbers.items() if np.isfinite(value)}
    assert {"foot outwards in stance", "stance width range", "stride seconds", "EVGS POB"} <= shown
    assert not {"knee mean", "step length", "EVGS KFX", "speed"} & shown


def test_times_are_those_of_the_walk(tmp_path: Path) -> None:
    true = walk("right", rate=RATE, stride=1.1, foot_off=0.64)
    clip = write_clip(tmp_path, "right", true)
    numbers = dict(zip(NAMES, kinematics(*part_of(clip))[0, len(NAMES) :], strict=True))
    assert numbers["stride seconds"] == pytest.approx(1.1, abs=0.01)
    assert numbers["stance share"] == pytest.approx(0.64, abs=0.01)
    assert numbers["double support share"] == pytest.approx(0.28, abs=0.02)
    assert numbers["step share"] == pytest.approx(0.5, abs=0.01)
    assert measure_clip(clip).speed == pytest.approx(numbers["speed"])


def test_without_events_nothing_is_measured_and_nothing_is_made_up(tmp_path: Path) -> None:
    clip = write_clip(tmp_path, "right", walk("right", rate=RATE), events=False)
    assert measure_items([clip]).is_empty()
    assert np.isnan(item_values(*part_of(clip))).all()
    assert np.isnan(kinematics(*part_of(clip)))[0, [n for n, name in enumerate(NAMES) if name != "speed"]].all()


def test_what_the_estimator_does_not_show_is_no_item(tmp_path: Path) -> None:
    """BlazePose's hips tilt with the legs: seen from the front there is no pelvic obliquity, but the trunk's shift."""
    clip = write_clip(tmp_path, "forward", walk("forward", rate=RATE))
    codes = set(measure_items([clip])["code"])
    assert {"POB", "TLT"} <= codes
    facts = json.loads(clip.facts_path.read_text())
    clip.facts_path.write_text(json.dumps(facts | {"unmeasured": ["obliquity"]}))
    assert set(measure_items([open_clip(clip.facts_path)])["code"]) == codes - {"POB"}
