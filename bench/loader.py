"""Measures clips per second that one core loads, against what the encoder consumes. Writes reports/bench/loader.md.

    .venv/bin/python bench/loader.py [--pixels 224] [--windows 60] [--rounds 5]

Synthetic clips on disk (noise under a moving silhouette that covers about a quarter of the patches), read as in
training: random window, all augmentations, skeleton drawn, patches cut. CPU time of one thread; stages by leaving one
out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from childgait.files.clips import Clip, create_array, open_clip, pack_bits
from childgait.models.tokens import Packing, grid_of
from childgait.params import Augmentation, Drawing
from childgait.training.windows import Loading, Windows, collate

NEED = 1450 / 16  # clips per second and core: ViT-B at 25 % kept and 40 % of an H200's matrix rate, 16 cores
STYLE = Drawing(
    line_pixels=2, dot_pixels=2, min_score=0.3, left=(0, 114, 255), right=(255, 120, 0), middle=(255, 255, 255)
)
CHANGES = Augmentation(flip=0.5, scale=0.2, shift=0.05, colour=0.2, time=0.1)
LENGTH = 150


def make_clip(folder: Path, number: int, pixels: int) -> Clip:
    """Five seconds of a figure about as tall as a child stands in the crop."""
    rng = np.random.default_rng(number)
    name = f"{number:04d}-0001_left_1-300"
    frames = create_array(folder / f"{name}.frames.npy", (LENGTH, pixels, pixels, 3), np.uint8)
    masks = create_array(folder / f"{name}.masks.npy", (LENGTH, pixels, pixels // 8), np.uint8)
    points = np.zeros((LENGTH, 23, 3), np.float32)
    for t in range(LENGTH):
        frames[t] = rng.integers(0, 256, frames.shape[1:], dtype=np.uint8)
        mask = np.zeros((pixels, pixels), np.uint8)
        middle = (pixels // 2 + int(3 * np.sin(t / 5)), pixels // 2)
        cv2.ellipse(mask, middle, (int(0.11 * pixels), int(0.4 * pixels)), 0, 0, 360, 1, -1)
        masks[t] = pack_bits(mask.astype(bool))
        points[t, :, 0] = middle[0] + rng.normal(0, 0.08 * pixels, 23)
        points[t, :, 1] = np.linspace(0.12, 0.88, 23) * pixels
        points[t, :, 2] = 0.9
    np.save(folder / f"{name}.points.npy", points)
    facts = {"video": name, "view": "left", "frames": LENGTH, "size": pixels, "rate": 30.0, "events": []}
    (folder / f"{name}.clip.json").write_text(json.dumps(facts))
    return open_clip(folder / f"{name}.clip.json")


def settings(patch: int) -> dict[str, tuple[Loading, Augmentation | None]]:
    pruned, dense = (Packing(2, patch, prune, 0.1, 2, 32) for prune in ("mask", "none"))
    frames = frozenset({"frames"})
    still = Augmentation(flip=0, scale=0, shift=0, colour=0, time=0)
    zoom = Augmentation(flip=CHANGES.flip, scale=CHANGES.scale, shift=CHANGES.shift, colour=0, time=0)
    return {
        "as in training: all changes, drawn, pruned": (Loading(16, frames, STYLE, pruned), CHANGES),
        "without colour": (Loading(16, frames, STYLE, pruned), zoom),
        "without any change": (Loading(16, frames, STYLE, pruned), still),
        "without any change, nothing drawn": (Loading(16, frames, None, pruned), still),
        "reading whole frames only": (Loading(16, frames), still),
        "every patch, all changes, drawn": (Loading(16, frames, STYLE, dense), CHANGES),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--windows", type=int, default=60, help="windows per timing")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("reports/bench/loader.md"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clips = [make_clip(Path(folder), number, arguments.pixels) for number in range(4)]
        labels = np.zeros((len(clips), 34), np.float32)
        kinds = settings(16)
        data = {name: Windows(clips, labels, one, augmentation=how) for name, (one, how) in kinds.items()}
        times: dict[str, list[float]] = {name: [] for name in kinds}
        kept = 0.0
        for turn in range(arguments.rounds):
            for name, windows in data.items():
                began = time.process_time()
                samples = [windows[turn, index % len(clips)] for index in range(arguments.windows)]
                for start in range(0, len(samples), 8):
                    collate(samples[start : start + 8])
                times[name].append((time.process_time() - began) / arguments.windows)
                if samples[0].index is not None and windows.loading.packing.prune == "mask":
                    kept = float(np.mean([len(s.index) for s in samples])) / np.prod(
                        grid_of(16, arguments.pixels, 2, 16)
                    )
    median = {name: statistics.median(each) for name, each in times.items()}
    whole = 1 / median["as in training: all changes, drawn, pruned"]
    lines = [
        "# Loader",
        "",
        f"{arguments.pixels} pixels, 16 frames, {kept:.0%} of the patches kept; one thread, CPU time, median of "
        f"{arguments.rounds} "
        f"interleaved rounds of {arguments.windows} windows, files in the page cache.",
        "",
        "| what is loaded | ms per clip | clips per second and core |",
        "|---|---|---|",
        *(f"| {name} | {1000 * each:.1f} | {1 / each:.0f} |" for name, each in median.items()),
        "",
        f"An H200 at the aim of 1,450 clips per second (ViT-B, 224 pixels, 25 % kept) needs {NEED:.0f} clips per "
        "second from each "
        f"of its 16 cores; this core gives {whole:.0f}, {whole / NEED:.2f} of it. No GPU was at hand: the aim is "
        "arithmetic, "
        "and cores and memory differ from that machine's.",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
