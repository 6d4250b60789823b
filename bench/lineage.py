"""Measures lineage and audit on a cohort as large as the published one, made of tiny files, and the cost of records.

    .venv/bin/python bench/lineage.py                      110 children, 1,185 videos, nine jobs per video, 20 trainings
    .venv/bin/python bench/lineage.py --children 10        a quick look
    .venv/bin/python bench/lineage.py --megabytes 2000     hash that much, against sha256sum, for the audit's rate

Writes reports/bench/lineage.md. The record trees are written directly (a thousand interpreters would be the wrong
measure), in the form that engine/record.py writes. The cost of records is measured on the real video steps, each run
with and without in turn, as whole processes; and read from the logs of real studies, if given.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from childgait.engine.record import LOCK, seal
from childgait.engine.source_files import ROOT, code_of
from childgait.files.hashes import sha256

CHAIN = {  # step: the endings that it writes a video
    "register": (".json",),
    "deidentify": (".mp4", ".regions.parquet", ".poses.parquet", ".evidence.json"),
    "segment": (".masks", ".frames.parquet", ".summary.json"),
    "estimate_pose": (".poses.parquet",),
    "refine_pose": (".poses.parquet", ".angles.parquet", ".events.parquet", ".summary.json"),
    "prepare_clips": (".frames.npy", ".masks.npy", ".points.npy", ".clip.json"),
}
VIEWS = ("forward", "backward", "left", "right")


def write(path: Path, content: bytes) -> dict[str, object]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"path": str(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def record(path: Path, step: str, inputs: dict, outputs: dict, params: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        seal(
            {
                "step": step,
                "inputs": inputs,
                "outputs": outputs,
                "values": {},
                "params": params,
                "code": CODE,
                "environment": {"lock_sha256": sha256(LOCK)},
            }
        )
    )


CODE = {str(path): sha256(ROOT / path) for path in code_of("trace_lineage")}


def make(children: int, videos: int, trainings: int) -> None:
    """A cohort's records and tiny files in the working folder."""
    names = [
        f"{n % children + 1:04d}-{n // children // 4 + 1:04d}_{VIEWS[n // children % 4]}_1-240" for n in range(videos)
    ]
    clips = []
    for name in names:
        before = [write(Path(f"data/raw/dataset/{name[:4]}/{name}.mp4"), f"video {name}".encode() * 3)]
        for step, endings in CHAIN.items():
            made = [write(Path(f"data/{step}/{name}{ending}"), f"{step} {name}{ending}".encode()) for ending in endings]
            record(
                Path(f"data/{step}/{name}.record.json"), step, {"source": before}, {"made": made}, {step: {"key": 1}}
            )
            before = made
        clips.append(before[-1])
    table = write(Path("data/split_subjects/0.train.csv"), b"subject\n")
    record(
        Path("data/split_subjects/split_subjects.record.json"),
        "split_subjects",
        {"clips": clips},
        {"train": [table]},
        {},
    )
    predictions = []
    for number in range(trainings):
        folder = Path(f"data/finetune/model{number}/0-0")
        weights = write(folder / "weights.safetensors", f"weights {number}".encode())
        record(
            folder / "finetune.record.json", "finetune", {"train": [table], "clips": clips}, {"weights": [weights]}, {}
        )
        folder = Path(f"data/evaluate/model{number}/0-0")
        predictions.append(write(folder / "predictions.parquet", f"predictions {number}".encode()))
        record(
            folder / "evaluate.record.json",
            "evaluate",
            {"weights": [weights], "clips": clips},
            {"predictions": [predictions[-1]]},
            {},
        )
    metrics = write(Path("reports/metrics.json"), json.dumps({"accuracy": {"L": {"IC": 0.8}}}).encode())
    record(
        Path("reports/write_report.record.json"),
        "write_report",
        {"predictions": predictions},
        {"metrics": [metrics]},
        {},
    )


def seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def best(repeats: int, *command: str) -> float:
    return min(seconds(*command) for _ in range(repeats))


def hashing_rate(megabytes: int) -> tuple[float, float, float]:
    """MB/s of the audit, of sha256sum, and of sha256sum on every core, interleaved, on the same warm files."""
    files = []
    for number in range(max(1, megabytes // 50)):
        path = Path(f"data/raw/dataset/0001/0001-{number + 1:04d}_left_1-240.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1 << 20) * 50)
        files.append({"path": str(path), "sha256": sha256(path), "bytes": path.stat().st_size})
    record(
        Path("data/register/all.record.json"),
        "register",
        {"video": files},
        {"facts": [write(Path("data/register/all.json"), b"{}")]},
        {},
    )
    paths = [str(entry["path"]) for entry in files]
    size = sum(int(entry["bytes"]) for entry in files) / 1e6
    listing = Path("paths.txt")
    listing.write_text("\n".join(paths))
    every = ("xargs", "-a", str(listing), "-n", "1", "-P", str(os.cpu_count()), "sha256sum")
    runs = [
        (seconds(sys.executable, "-m", "childgait", "audit"), seconds("sha256sum", *paths), seconds(*every))
        for _ in range(3)
    ]
    audit, single, many = (size / min(column) for column in zip(*runs, strict=True))
    return audit, single, many


def chain(video: Path) -> list[tuple[str, list[str]]]:
    """The command lines of the video steps, in running order, as the rules call them."""
    name = video.stem
    poses = video.with_name(f"{name}_filtered_pose.zip")

    def at(step: str, **files: str) -> list[str]:
        return [
            word for flag, ending in files.items() for word in (f"--{flag.replace('_', '-')}", f"{step}/{name}{ending}")
        ]

    seen = at("deidentify", video=".mp4", poses=".poses.parquet")
    raw = ["--video", str(video), "--poses", str(poses), "--name", name]
    return [
        ("register", [*raw, "--layout", "wholebody133", *at("register", facts=".json")]),
        (
            "deidentify",
            [
                *raw,
                *at("register", register=".json"),
                *at(
                    "deidentify",
                    covered=".mp4",
                    regions_found=".regions.parquet",
                    heads=".heads.jpg",
                    poses_out=".poses.parquet",
                    evidence=".evidence.json",
                ),
            ],
        ),
        ("segment", ["--name", name, *seen, *at("segment", masks=".masks", boxes=".frames.parquet", summary=".json")]),
        ("estimate_pose", [*at("deidentify", poses=".poses.parquet"), *at("estimate_pose", poses_out=".parquet")]),
        (
            "refine_pose",
            [
                "--name",
                name,
                *at("estimate_pose", poses=".parquet"),
                *at(
                    "refine_pose",
                    poses_out=".poses.parquet",
                    angles=".angles.parquet",
                    events=".events.parquet",
                    summary=".json",
                ),
            ],
        ),
        (
            "prepare_clips",
            [
                "--name",
                name,
                *at("refine_pose", poses=".poses.parquet", events=".events.parquet"),
                *at("deidentify", video=".mp4"),
                *at("segment", masks=".masks", boxes=".frames.parquet"),
                *at("prepare_clips", points=".points.npy", clip=".json", frames=".frames.npy", mask_bits=".masks.npy"),
            ],
        ),
    ]


def record_cost(repeats: int) -> tuple[float, float]:
    """Processor seconds of all video steps on one video, without and with their records."""
    base = [sys.executable, "-m", "childgait"]
    settings = ["--params", str(ROOT / "params.yaml")]
    subprocess.run(
        [*base, "synthesize", "--out", "cohort", "--subjects", "2", *settings], check=True, capture_output=True
    )
    video = sorted(Path("cohort/dataset").glob("*/*.mp4"))[0]
    totals = [0.0, 0.0]
    for step, words in chain(video):
        taken: list[list[float]] = [[], []]
        for _ in range(repeats):
            for which, more in enumerate(([], ["--record", f"{step}.record.json"])):
                taken[which].append(processor_seconds([*base, step, *words, *settings, *more]))
        totals = [total + statistics.median(times) for total, times in zip(totals, taken, strict=True)]
    return totals[0], totals[1]


def processor_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=110)
    parser.add_argument("--videos", type=int, default=1185)
    parser.add_argument("--trainings", type=int, default=20)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7, help="repeats of each step, with and without its record")
    parser.add_argument("--logs", type=Path, nargs="*", default=[], help="logs/runs.jsonl of finished studies")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "bench" / "lineage.md")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    videos = min(arguments.videos, arguments.children * 16)
    ask = (sys.executable, "-m", "childgait", "lineage")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make(arguments.children, videos, arguments.trainings)
        jobs = len(list(Path().rglob("*.record.json")))
        rows.append(("`lineage --metric accuracy.L.IC`", f"{best(3, *ask, '--metric', 'accuracy.L.IC'):.2f} s"))
        rows.append(("`lineage reports/metrics.json`", f"{best(3, *ask, 'reports/metrics.json'):.2f} s"))
        rows.append(("`lineage --subject 0007`", f"{best(3, *ask, '--subject', '0007'):.2f} s"))
        rows.append(("`lineage --diff . .`", f"{best(3, *ask, '--diff', '.', '.'):.2f} s"))
        rows.append(("`audit` (tiny files)", f"{best(3, sys.executable, '-m', 'childgait', 'audit'):.2f} s"))
        os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        audit, single, many = hashing_rate(arguments.megabytes)
        os.chdir(ROOT)
    rows.append((f"`audit`, {arguments.megabytes} MB in files of 50 MB", f"{audit:,.0f} MB/s"))
    rows.append(("`sha256sum`, the same files", f"{single:,.0f} MB/s (audit: {audit / single:.0%})"))
    rows.append((f"`sha256sum`, {os.cpu_count()} at once", f"{many:,.0f} MB/s (audit: {audit / many:.0%})"))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        without, kept = record_cost(arguments.repeats)
        os.chdir(ROOT)
    rows.append(
        (f"the video steps on one video without records, median of {arguments.repeats}", f"{without:.2f} CPU s")
    )
    rows.append(("with records", f"{kept:.2f} CPU s ({kept / without - 1:+.1%})"))
    for log in arguments.logs:
        runs = [json.loads(line) for line in log.read_text().splitlines()]
        share = sum(run["record_seconds"] for run in runs) / sum(run["seconds"] for run in runs)
        rows.append((f"records' share of {len(runs)} jobs of a real study, by its own log", f"{share:.1%}"))
    text = f"# Lineage and audit\n\n{arguments.children} children, {videos} videos, {jobs} jobs; best of 3.\n\n"
    text += "| what | measured |\n|---|---|\n" + "".join(f"| {what} | {value} |\n" for what, value in rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
