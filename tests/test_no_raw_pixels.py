"""No output outside the raw cohort shows a true head; the end-to-end test applies this to a finished study."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from childgait.files.regions import REGIONS
from childgait.files.tables import read_table
from childgait.files.video import read_frames
from childgait.synthetic.truth import load_truth

# Correlation of the fine detail in a head's box, raw and made. Measured on 88 heads of 25 to 35 pixels: covered ones at
# most .17 (median .00, lowest -.19); bare ones 1 in a lossless copy, from .85 on at crf 18, from .66 on at crf 28.
ALIKE = 0.4


def bare_share(head: np.ndarray, regions: list[tuple[int, int, int, int]], width: int, height: int) -> float:
    """Return the share of a head's box, within the image, that no covered region contains."""
    x0, y0 = np.floor(head[:2]).astype(int).clip(0)
    x1, y1 = min(int(np.ceil(head[2])), width), min(int(np.ceil(head[3])), height)
    if x1 <= x0 or y1 <= y0:
        return 0.0
    covered = np.zeros((height, width), bool)
    for left, top, right, bottom in regions:
        covered[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    return float(1 - covered[y0:y1, x0:x1].mean())


def detail_alike(raw: np.ndarray, made: np.ndarray, head: np.ndarray) -> float:
    """Correlate the fine detail of a head's box with that of the raw image; 0: none is left."""
    x0, y0 = np.floor(head[:2]).astype(int).clip(0)
    x1, y1 = np.ceil(head[2:]).astype(int)
    fine = []
    for picture in (raw, made):
        box = picture[y0:y1, x0:x1].astype(np.float32)
        fine.append((box - cv2.blur(box, (5, 5))).ravel() if box.size else box.ravel())
    if not fine[0].size or min(part.std() for part in fine) < 1e-6:
        return 0.0
    return float(np.corrcoef(*fine)[0, 1])


def bare_heads(root: Path) -> list[str]:
    """List the true heads of a finished demo study that a video outside the raw cohort does not fully cover."""
    raw_cohort = root / "data" / "demo"
    made = [
        p
        for folder in ("data", "reports")
        for p in sorted((root / folder).rglob("*.mp4"))
        if raw_cohort not in p.parents
    ]
    assert made, f"no video was made in {root}"
    result = []
    for path in made:
        truth = load_truth(raw_cohort / "truth" / f"{path.stem}.npz")
        (raw,) = raw_cohort.glob(f"dataset/*/{path.stem}.mp4")
        regions: dict[int, list[tuple[int, int, int, int]]] = {}
        for row in read_table(path.with_suffix(".regions.parquet"), REGIONS).iter_rows(named=True):
            regions.setdefault(row["frame"], []).append((row["x0"], row["y0"], row["x1"], row["y1"]))
        for before, after in zip(read_frames(raw), read_frames(path), strict=True):
            height, width = before.planes.y.shape
            for person, heads in truth.heads.items():
                head = heads[before.index]
                if not np.isfinite(head).all():
                    continue
                where = f"{path.stem}, frame {before.index}, {person}"
                if bare := bare_share(head, regions.get(before.index, []), width, height):
                    result.append(f"{where}: {bare:.0%} of the head lies in no covered region")
                if before.index % 10 == 0 and detail_alike(before.planes.y, after.planes.y, head) > ALIKE:
                    result.append(f"{where}: the head's detail is that of the raw video")
    return result


def test_a_bare_head_would_be_noticed() -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 255, (40, 40)).astype(np.uint8)
    covered = raw.copy()
    covered[10:30, 10:30] = rng.integers(0, 255, (20, 20))
    head = np.array([12.0, 12.0, 28.0, 28.0])
    assert detail_alike(raw, raw, head) > 0.99
    assert detail_alike(raw, covered, head) < ALIKE


def test_a_sliver_counts() -> None:
    head = np.array([10.0, 10.0, 20.0, 20.0])
    assert bare_share(head, [(8, 8, 22, 22)], 40, 40) == 0
    assert bare_share(head, [(8, 8, 19, 22)], 40, 40) > 0.09
    assert bare_share(head, [], 40, 40) == 1
    assert bare_share(head, [(8, 8, 15, 22), (15, 8, 22, 22)], 40, 40) == 0
    assert bare_share(np.array([35.0, 5.0, 45.0, 15.0]), [(34, 4, 40, 16)], 40, 40) == 0  # half outside the picture
