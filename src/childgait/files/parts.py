"""Opens part tables (train, validation, test) together with the clips of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import MIRRORED
from childgait.errors import StepError
from childgait.files.clips import Clip, clips_by_video
from childgait.files.hashes import sha256, sha256_of_text
from childgait.files.split import atypical_of, read_part, scores_of

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Part:
    """A part table and the clips of its rows."""

    table: pl.DataFrame
    clips: list[Clip]
    answers: NDArray[np.float32] | None = None  # (rows, K) targets in place of the 34 items
    mirrored: tuple[int, ...] = MIRRORED  # order of the targets of a mirrored clip

    @property
    def atypical(self) -> NDArray[np.float32]:
        return atypical_of(self.table) if self.answers is None else self.answers

    @property
    def scores(self) -> NDArray[np.float32]:
        """The scores (rows, 34) before they are made binary: 0, 1 or 2, NaN where unknown."""
        return scores_of(self.table)

    def filter(self, rows: list[bool]) -> Part:
        """Return a part of the selected rows."""
        clips = [clip for clip, stays in zip(self.clips, rows, strict=True) if stays]
        answers = None if self.answers is None else self.answers[np.array(rows)]
        return Part(self.table.filter(rows), clips, answers, self.mirrored)


def open_part(path: Path, clip_files: list[Path]) -> Part:
    """Open a part with its clips; fail if a row's clip is not among the files."""
    return with_clips(path, read_part(path), clip_files)


def with_clips(path: Path, table: pl.DataFrame, clip_files: list[Path]) -> Part:
    """Return the table read from `path` with the clips of its rows."""
    if table.is_empty():
        raise StepError(f"{path} has no rows", hint="look at data/split_subjects/subjects.csv: who is in this part?")
    named = {file.name.removesuffix(".clip.json"): file for file in clip_files}
    missing = [video for video in table["video"] if video not in named]
    if missing:
        raise StepError(
            f"{path} names {len(missing)} video(s) whose clips were not given, first {missing[0]}",
            hint="give --clips the .clip.json of every video of the part",
        )
    opened = clips_by_video([named[video] for video in table["video"]])
    return Part(table, [opened[video] for video in table["video"]])


def hash_of_part(table: Path, part: Part) -> str:
    """Return a hash of a part's table and clips: their descriptions hold the hashes of frames, masks and points."""
    files = [table, *sorted(clip.facts_path for clip in part.clips)]
    return sha256_of_text("".join(f"{path.name} {sha256(path)}\n" for path in files))


def children_of(part: pl.DataFrame) -> list[str]:
    """Return the children of a part, sorted."""
    return sorted(part["subject"].unique())


def labels_of_children(part: pl.DataFrame) -> NDArray[np.float32]:
    """Return labels (children, 34): 1 atypical, 0 typical, NaN unknown or shown in none of the child's views."""
    return targets_by_child(part, atypical_of(part))


def targets_by_child(part: pl.DataFrame, answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return targets (children, K) from (rows, K): 1 or 0 by the child's rows, NaN where all of them are NaN."""
    subjects = part["subject"].to_numpy()
    rows = [answers[subjects == subject] for subject in children_of(part)]
    return np.stack(
        [np.where(np.isnan(r).all(axis=0), np.nan, np.nanmax(np.nan_to_num(r, nan=-1), axis=0)) for r in rows]
    )
