"""Children with limbs of their own who walk out and back, as clips and part tables: somebody to identify."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from childgait.domain.evgs import TARGETS
from childgait.domain.skeleton import INDEX
from childgait.files.clips import ClipEvent
from support.small_study import Study, part_row, write_parts
from support.stick_child import Walk, walk

SIZE, RATE = 32, 30.0
SCORED = ("L.KPS", "R.KPS")
LIMBS = (  # a limb from its first to its second point; the others move with it
    ("hip", "knee", "ankle", "heel", "big_toe", "small_toe"),
    ("knee", "ankle", "heel", "big_toe", "small_toe"),
    ("ankle", "heel", "big_toe", "small_toe"),
    ("shoulder", "elbow", "wrist"),
    ("elbow", "wrist"),
)


def make_identified_study(folder: Path, children: int = 8, sessions: dict[str, int] | None = None) -> Study:
    """Write clips and part tables; `sessions` gives the number of sessions of children with more than one."""
    random = np.random.default_rng(0)
    who, rows = {}, []
    limbs = random.normal(1, 0.15, (children + 1, len(LIMBS)))
    for number in range(1, children + 1):
        subject = f"{number:04d}"
        who[subject] = ("train", "validation", "test")[number % 3]
        for session in range(1, (sessions or {}).get(subject, 1) + 1):
            for view in ("left", "right"):
                video = f"{subject}-{session:04d}_{view}_1-60"
                write_walk(folder, video, view, limbs[number], random)
                scores = {target.name: 2 * (number % 2) if target.name in SCORED else None for target in TARGETS}
                rows.append(part_row(video, view, 8.0, "female", scores))
    return write_parts(folder, rows, who)


def write_walk(folder: Path, video: str, view: str, limbs: np.ndarray, random: np.random.Generator) -> None:
    """Write a walk with limbs longer or shorter by the factors `limbs` as a clip whose crop is the whole picture."""
    true = walk(view, seconds=2.0, rate=RATE)
    xy = _with_limbs(true, limbs) + random.normal(0, 0.05, true.xy.shape)
    points = np.concatenate([xy * (SIZE / 640), np.full((*xy.shape[:2], 1), 0.9)], axis=2)
    frames = random.integers(0, 255, (len(xy), SIZE, SIZE, 3)).astype(np.uint8)
    masks = np.zeros((len(xy), SIZE, SIZE), bool)
    masks[:, 4:28, 12:20] = True
    masks[:, 24:28, 8 : round(12 + 8 * limbs[0])] = True
    np.save(folder / f"{video}.frames.npy", frames)
    np.save(folder / f"{video}.masks.npy", np.packbits(masks, axis=-1))
    np.save(folder / f"{video}.points.npy", points.astype(np.float32))
    events = [
        str(ClipEvent(limb, kind, round(time * RATE), time))
        for kind, of in (("contact", true.contacts), ("foot_off", true.foot_offs))
        for limb, times in of.items()
        for time in times
    ]
    facts = {"video": video, "view": view, "frames": len(xy), "size": SIZE, "rate": RATE, "start_seconds": 0.0}
    crops = [f"0 0 {640}"] * len(xy)
    (folder / f"{video}.clip.json").write_text(json.dumps({**facts, "events": events, "crops": crops}))


def _with_limbs(true: Walk, limbs: np.ndarray) -> np.ndarray:
    xy = true.xy.copy()
    for side in ("left", "right"):
        for names, factor in zip(LIMBS, limbs, strict=True):
            start, *below = [INDEX[f"{side}_{name}"] for name in names]
            xy[:, below] += ((factor - 1) * (xy[:, below[0]] - xy[:, start]))[:, None]
    return xy
