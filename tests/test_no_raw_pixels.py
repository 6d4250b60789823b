"""What a study made outside the raw cohort shows no true head; the end-to-end test walks a finished one with this."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from childgait.files.video import read_frames
from childgait.synthetic.truth import load_truth

ALIKE = 0.15  # share of a head's pixels that may equal the raw ones by chance


def shown(raw: np.ndarray, made: np.ndarray, head: np.ndarray) -> float:
    """The share of a head's pixels that are the raw ones, within what an encoder does."""
    x0, y0 = np.floor(head[:2]).astype(int).clip(0)
    x1, y1 = np.ceil(head[2:]).astype(int)
    a, b = raw[y0:y1, x0:x1].astype(int), made[y0:y1, x0:x1].astype(int)
    return float((np.abs(a - b) <= 2).mean()) if a.size else 0.0


def bare_heads(root: Path) -> list[str]:
    """Every true head that a video made by a study in `root` shows, outside the raw cohort; every tenth frame is looked at."""
    raw_cohort = root / "data" / "demo"
    made = [p for folder in ("data", "reports") for p in sorted((root / folder).rglob("*.mp4"))
            if raw_cohort not in p.parents]  # fmt: skip
    assert made, f"no video was made in {root}"
    found = []
    for path in made:
        truth = load_truth(raw_cohort / "truth" / f"{path.stem}.npz")
        (raw,) = raw_cohort.glob(f"dataset/*/{path.stem}.mp4")
        for before, after in zip(read_frames(raw), read_frames(path), strict=True):
            if before.index % 10 == 0:
                for person, heads in truth.heads.items():
                    if np.isfinite(heads[before.index]).all():
                        share = shown(before.planes.y, after.planes.y, heads[before.index])
                        if share > ALIKE:
                            found.append(f"{path.stem}, frame {before.index}: {share:.0%} of {person}'s head")
    return found


def test_a_bare_head_would_be_noticed() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 255, (40, 40)).astype(np.uint8)
    covered = raw.copy()
    covered[10:30, 10:30] = 128
    head = np.array([12.0, 12.0, 28.0, 28.0])
    assert shown(raw, raw, head) == 1.0
    assert shown(raw, covered, head) < ALIKE
