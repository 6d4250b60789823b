"""A study small enough for a test: children whose items can be seen in their clips, part tables, and settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from childgait.domain.evgs import BY_CODE, TARGETS, VIEWS_OF_PLANE
from childgait.domain.names import parse_video_name
from childgait.files.split import PART_NAMES, PARTS, hash_of_split
from childgait.params import Evaluate, Finetune

SIZE, LENGTH = 32, 20
VIEWS = ("forward", "left")
PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())


@dataclass(frozen=True)
class Study:
    train: Path
    validation: Path
    test: Path
    clips: list[Path]


def make_study(folder: Path, children: int = 12, seed: int = 0, never: str = "") -> Study:
    """A bar of light in the picture moves up and down as fast as the child is atypical, in all items alike.

    `never` names a target that nobody has.
    """
    random = np.random.default_rng(seed)
    who, rows = {}, []
    for number in range(1, children + 1):
        subject, sick = f"{number:04d}", number % 2 == 0
        who[subject] = ("train", "train", "train", "train", "validation", "validation", "test", "test")[number % 8]
        for view in VIEWS:
            video = f"{subject}-0001_{view}_1-{LENGTH}"
            write_clip(folder, video, view, sick, random)
            scores = {
                target.name: (2 if sick and target.name != never else 0)
                if view in VIEWS_OF_PLANE[BY_CODE[target.code].plane]
                else None
                for target in TARGETS
            }
            sex, age = ("female", "male")[number % 3 == 0], 3.0 + number % 12
            rows.append(part_row(video, view, age, sex, scores))
    return write_parts(folder, rows, who)


def part_row(video: str, view: str, age: float, sex: str, scores: Mapping[str, int | None]) -> dict[str, object]:
    """Return the row of a video in the table of its part."""
    name = parse_video_name(video)
    known = {"video": video, "subject": name.subject, "session": name.session, "view": view}
    return {**known, "age_years": age, "sex": sex, "aid": "none", "split_hash": "", **scores}


def write_parts(folder: Path, rows: list[dict[str, object]], part_of: dict[str, str]) -> Study:
    """Write the tables of the three parts, `part_of` a child, beside the clips of `folder`."""
    table = pl.DataFrame(rows, schema=PARTS.schema()).with_columns(pl.lit(hash_of_split(part_of)).alias("split_hash"))
    paths = {}
    for part in PART_NAMES:
        paths[part] = folder / f"{part}.parquet"
        table.filter(pl.col("subject").is_in([s for s, p in part_of.items() if p == part])).write_parquet(paths[part])
    return Study(**paths, clips=sorted(folder.glob("*.clip.json")))


def write_clip(folder: Path, video: str, view: str, sick: bool, random: np.random.Generator) -> None:
    speed = 1.5 if sick else 0.4
    frames = random.integers(0, 60, (LENGTH, SIZE, SIZE, 3)).astype(np.uint8)
    masks = np.zeros((LENGTH, SIZE, SIZE), bool)
    points = np.zeros((LENGTH, 23, 3), np.float32)
    for t in range(LENGTH):
        y = int(16 + 10 * np.sin(speed * t + random.random() * 0.1))
        frames[t, y - 3 : y + 3, 4:28] = 230
        masks[t, y - 4 : y + 4, 2:30] = True
        masks[t, 2:30, 15:17] = True  # the height stays, so that a crop to the mask's height shows where the bar is
        points[t, :, 0], points[t, :, 1], points[t, :, 2] = np.linspace(6, 26, 23), 16, 0.9
        points[t, 13:, 1] = y  # the legs go with the bar, the body does not
    np.save(folder / f"{video}.frames.npy", frames)
    np.save(folder / f"{video}.masks.npy", np.packbits(masks, axis=-1))
    np.save(folder / f"{video}.points.npy", points)
    facts = {
        "video": video,
        "view": view,
        "frames": LENGTH,
        "size": SIZE,
        "rate": 30.0,
        "start_seconds": 0.0,
        "events": [],
        "crops": [f"0 0 {SIZE}"] * LENGTH,
    }
    (folder / f"{video}.clip.json").write_text(json.dumps(facts))


def interrupt_after(epoch: int | None) -> Callable[[dict[str, float], dict[str, float]], None]:
    """Return a callback of training that raises KeyboardInterrupt after an epoch; never for 0 or None."""

    def on_epoch(row: dict[str, float], speed: dict[str, float]) -> None:
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return on_epoch


def settings(**changes: object) -> Finetune:
    """params.yaml's finetune section, made small."""
    small = {
        "epochs": 3,
        "frames": 4,
        "batch_size": 4,
        "micro_batch_size": 2,
        "threads": 1,
        "workers": 0,
        "warmup_epochs": 1,
        "checkpoint_epochs": 1,
        "validation_windows": 1,
        "device": "cpu",
        "precision": "fp32",
        "frame_step": 1,
        "overrides": {},
        "encoder": {
            **PARAMS["finetune"]["encoder"],
            "min_tokens": 2,
            "head_hidden": 16,
            "dilate_pixels": 0,
            "positions": "interpolated",
        },
        "augmentation": {"flip": 0.5, "scale": 0.1, "shift": 0.05, "colour": 0.1, "time": 0.1},
    }
    return Finetune.model_validate({**PARAMS["finetune"], **small, **changes})


def judging(**changes: object) -> Evaluate:
    return Evaluate.model_validate(
        {**PARAMS["evaluate"], "windows_per_video": 2, "bootstrap": 50, "appearances": 0, **changes}
    )
