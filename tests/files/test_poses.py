"""Poses on disk: what goes in comes out, the same bytes every time, and a broken file is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from childgait.domain.poses import Poses, Status, make_poses
from childgait.errors import StepError
from childgait.files.poses import read_poses, write_poses


def some_poses(frames: int = 240, seed: int = 0) -> Poses:
    draw = np.random.default_rng(seed)
    xy = draw.uniform(0, 640, (frames, 23, 2)).astype(np.float32)
    xy[draw.random((frames, 23)) < 0.1] = np.nan
    poses = make_poses(np.arange(frames) * 1001 / 60000, xy, draw.random((frames, 23)).astype(np.float32))
    poses.status[5, 3:6] = [Status.CORRECTED, Status.SWAPPED, Status.FILLED]
    return poses


def test_poses_come_back_as_they_were_written(tmp_path: Path) -> None:
    poses = some_poses()
    write_poses(tmp_path / "a.parquet", poses)
    back = read_poses(tmp_path / "a.parquet")
    assert np.array_equal(back.seconds, poses.seconds)
    assert np.array_equal(back.status, poses.status)
    assert np.array_equal(back.seen, poses.seen)
    assert np.nanmax(np.abs(back.xy - poses.xy)) <= 1 / 128 + 1e-4
    assert np.max(np.abs(back.score - poses.score)) <= 0.0006


def test_the_same_poses_give_the_same_bytes_and_few_of_them(tmp_path: Path) -> None:
    for name in "ab":
        write_poses(tmp_path / name, some_poses())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_size < 240 * 23 * 12  # three float32 a point, and nothing on top


def test_what_has_no_position_is_missing() -> None:
    poses = make_poses(np.zeros(1), np.full((1, 23, 2), np.nan), np.ones((1, 23), np.float32))
    assert (poses.status == Status.MISSING).all()
    assert (poses.score == 0).all()


def test_an_empty_video_is_a_valid_file(tmp_path: Path) -> None:
    empty = make_poses(np.zeros(0), np.zeros((0, 23, 2), np.float32), np.zeros((0, 23), np.float32))
    write_poses(tmp_path / "a.parquet", empty)
    assert len(read_poses(tmp_path / "a.parquet")) == 0


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda t: t.head(30), "no multiple"),
        (lambda t: t.reverse(), "in order"),
        (lambda t: t.with_columns(status=pl.lit("guessed")), "guessed"),
        (lambda t: t.drop("score"), "score"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, break_it, says: str) -> None:
    path = tmp_path / "a.parquet"
    write_poses(path, some_poses(8))
    break_it(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(StepError, match=says) as error:
        read_poses(path)
    assert "a.parquet" in str(error.value)
