"""After a demo run: no video and no clip that was made outside the raw cohort shows a true head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from childgait.files.video import read_frames
from childgait.synthetic.truth import load_truth

ROOT = Path(__file__).parents[1]
RAW = ROOT / "data" / "demo"
MADE = [p for folder in ("data", "reports") for p in sorted((ROOT / folder).rglob("*.mp4")) if RAW not in p.parents]
ALIKE = 0.15  # share of a head's pixels that may equal the raw ones by chance


def shown(raw: np.ndarray, made: np.ndarray, head: np.ndarray) -> float:
    """The share of a head's pixels that are the raw ones, within what an encoder does."""
    x0, y0 = np.floor(head[:2]).astype(int).clip(0)
    x1, y1 = np.ceil(head[2:]).astype(int)
    a, b = raw[y0:y1, x0:x1].astype(int), made[y0:y1, x0:x1].astype(int)
    return float((np.abs(a - b) <= 2).mean()) if a.size else 0.0


@pytest.mark.skipif(not MADE or not (RAW / "truth").is_dir(), reason="no demo run lies in data/")
@pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)
def test_no_true_head_is_to_be_seen(path: Path) -> None:
    truth_file = RAW / "truth" / f"{path.stem}.npz"
    assert truth_file.is_file(), f"{path} is a video that nobody can answer for"
    truth = load_truth(truth_file)
    (raw,) = RAW.glob(f"dataset/*/{path.stem}.mp4")
    for before, after in zip(read_frames(raw), read_frames(path), strict=True):
        if before.index % 10 == 0:
            for person, heads in truth.heads.items():
                if np.isfinite(heads[before.index]).all():
                    share = shown(before.planes.y, after.planes.y, heads[before.index])
                    assert share <= ALIKE, f"frame {before.index}: {person}'s head"


def test_a_bare_head_would_be_noticed() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 255, (40, 40)).astype(np.uint8)
    covered = raw.copy()
    covered[10:30, 10:30] = 128
    head = np.array([12.0, 12.0, 28.0, 28.0])
    assert shown(raw, raw, head) == 1.0
    assert shown(raw, covered, head) < ALIKE
