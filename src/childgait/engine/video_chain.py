"""Run the steps of one recording, from the raw video to its clip, outside the workflow.

The steps, their files, records and params are those of the rules (workflow/rules: register, deidentify, perceive); a
test compares the two. A step whose record already states the same inputs, outputs, params and code is not run again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from childgait.domain.names import POSE_FOLDER
from childgait.engine.flags import find_function, flags_of
from childgait.engine.record import ENDING, is_current
from childgait.engine.run_step import run_step
from childgait.errors import StepError
from childgait.files.atomic import write_text

log = logging.getLogger("childgait")


@dataclass(frozen=True)
class ChainStep:
    """A step of the chain: its input and output files, by argument; `{video}` is the name of the recording."""

    name: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    annotations: tuple[str, ...] = ()  # arguments that read the manual table of the same name


CHAIN = (
    ChainStep("register", {}, {"facts": "data/register/{video}.json"}),
    ChainStep(
        "deidentify",
        {"register": "data/register/{video}.json"},
        {
            "covered": "data/deidentify/{video}.mp4",
            "regions_found": "data/deidentify/{video}.regions.parquet",
            "heads": "data/deidentify/{video}.heads.jpg",
            "poses_out": "data/deidentify/{video}.poses.parquet",
            "evidence": "data/deidentify/{video}.evidence.json",
        },
        ("regions", "cleared", "selections"),
    ),
    ChainStep(
        "segment",
        {
            "video": "data/deidentify/{video}.mp4",
            "poses": "data/deidentify/{video}.poses.parquet",
            "regions": "data/deidentify/{video}.regions.parquet",
        },
        {
            "masks": "data/segment/{video}.masks",
            "boxes": "data/segment/{video}.frames.parquet",
            "summary": "data/segment/{video}.summary.json",
        },
        ("selections",),
    ),
    ChainStep(
        "estimate_pose",
        {
            "poses": "data/deidentify/{video}.poses.parquet",
            "video": "data/deidentify/{video}.mp4",
            "boxes": "data/segment/{video}.frames.parquet",
            "regions": "data/deidentify/{video}.regions.parquet",
            "masks": "data/segment/{video}.masks",
            "segmented": "data/segment/{video}.summary.json",
        },
        {
            "poses_out": "data/estimate_pose/{video}.poses.parquet",
            "summary": "data/estimate_pose/{video}.summary.json",
        },
    ),
    ChainStep(
        "refine_pose",
        {
            "poses": "data/estimate_pose/{video}.poses.parquet",
            "estimate": "data/estimate_pose/{video}.summary.json",
            "boxes": "data/segment/{video}.frames.parquet",
        },
        {
            "poses_out": "data/refine_pose/{video}.poses.parquet",
            "angles": "data/refine_pose/{video}.angles.parquet",
            "events": "data/refine_pose/{video}.events.parquet",
            "summary": "data/refine_pose/{video}.summary.json",
        },
        ("corrections",),
    ),
    ChainStep(
        "prepare_clips",
        {
            "video": "data/deidentify/{video}.mp4",
            "masks": "data/segment/{video}.masks",
            "boxes": "data/segment/{video}.frames.parquet",
            "regions": "data/deidentify/{video}.regions.parquet",
            "poses": "data/refine_pose/{video}.poses.parquet",
            "events": "data/refine_pose/{video}.events.parquet",
            "estimate": "data/estimate_pose/{video}.summary.json",
        },
        {
            "frames": "data/prepare_clips/{video}.frames.npy",
            "mask_bits": "data/prepare_clips/{video}.masks.npy",
            "points": "data/prepare_clips/{video}.points.npy",
            "clip": "data/prepare_clips/{video}.clip.json",
        },
    ),
)
LINKS = Path(".recordings")  # folder of links to the raw files while the steps run
REVIEW_FIRST = "a person must review it first"  # begins the problem of a held recording
RAW_STEPS = ("register", "deidentify")  # the only ones that read the raw recording


@dataclass(frozen=True)
class Job:
    """One recording to be prepared: its name, its raw files, and the settings of the chain."""

    name: str
    video: Path
    poses: Path | None
    layout: str  # of the delivered keypoints
    folder: Path  # working folder; the steps write below its `data`
    params: Path
    annotations: Path | None = None  # folder of manual tables


@dataclass(frozen=True)
class Prepared:
    """The outcome of a chain: which steps ran, and the sentence of the one that stopped it."""

    name: str
    ran: tuple[str, ...]
    problem: str | None
    stopped_at: str | None


def write_params(folder: Path, params: dict[str, Any]) -> Path:
    """Write a study's params into a working folder, unless they are there; returns the file. JSON is YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / "params.yaml", json.dumps(params, indent=1, ensure_ascii=False) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return path


def prepare(
    job: Job, report: Callable[[str], None] = log.info, last: str = CHAIN[-1].name, first: str = CHAIN[0].name
) -> Prepared:
    """Run the chain of one recording from its step `first` to `last`; a StepError ends it and is returned for a page.

    A held recording stops after deidentify: nothing else may read it before a person has looked at it.
    """
    ran: list[str] = []
    with contextlib.chdir(job.folder), linked(job) as job:
        for step in CHAIN[[one.name for one in CHAIN].index(first) :]:
            began = time.monotonic()
            try:
                if _run(step, job):
                    ran.append(step.name)
                    report(f"{job.name}: {step.name}, {time.monotonic() - began:.1f} s")
                if step.name == "deidentify" and (reasons := _held(job.name)):
                    return Prepared(job.name, tuple(ran), f"{REVIEW_FIRST}: {reasons}", step.name)
                if step.name == last:
                    break
            except StepError as error:
                report(f"{job.name}: {step.name} stopped: {error.message}")
                return Prepared(job.name, tuple(ran), error.message, step.name)
    return Prepared(job.name, tuple(ran), None, None)


@contextlib.contextmanager
def linked(job: Job) -> Iterator[Job]:
    """Yield the job with links to its raw files that are named by number; the links are removed afterwards.

    Paths of inputs enter records and messages, and a video or its folder may be named after a person.
    """
    if not job.video.name:  # the chain begins after the steps that read raw files
        yield job
        return
    video, poses = LINKS / f"{job.name}{job.video.suffix.lower()}", None
    links = {video: job.video}
    if job.poses is not None:
        poses = LINKS / f"{job.name}{POSE_FOLDER}{job.poses.suffix.lower()}"
        links[poses] = job.poses
    try:
        for link, target in links.items():
            _make_link(link, target)
        yield replace(job, video=video, poses=poses)
    finally:
        for link in links:
            if link.is_symlink():
                link.unlink()
        with contextlib.suppress(OSError):  # another process has links there
            LINKS.rmdir()


def _make_link(link: Path, target: Path) -> None:
    """Make a link and its folder, which another process removes when its own links are gone."""
    while True:
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink():  # of a killed call
            link.unlink()
        with contextlib.suppress(FileNotFoundError):
            return link.symlink_to(target)


def _run(step: ChainStep, job: Job) -> bool:
    """Run one step unless its record is current; returns whether it ran."""
    from childgait.params import load_section

    step_function = find_function(step.name)
    assert step_function is not None
    function, _ = step_function
    flags = flags_of(function)
    values: dict[str, Any] = {flag.name: flag.default for flag in flags}
    values |= {name: Path(path.format(video=job.name)) for name, path in (step.inputs | step.outputs).items()}
    if "name" in values:
        values["name"] = job.name
    if step.name in RAW_STEPS:
        values |= {"video": job.video, "poses": job.poses}
    if step.name == "register":
        values["layout"] = job.layout
    values |= {table: _annotation(job, table) for table in step.annotations}
    outputs = next(iter(step.outputs.values())).format(video=job.name)
    record = Path(outputs).parent / f"{job.name}{ENDING}"
    sections = {flag.name: load_section(job.params, flag.type) for flag in flags if flag.kind == "params"}
    if is_current(function, flags, values | sections, record):
        return False
    run_step(function, values, job.params, record)
    return True


def _annotation(job: Job, table: str) -> Path | None:
    """Return the manual table if it has a row of this recording, as the rules pass it on."""
    from childgait.files.annotations import rows_of

    path = None if job.annotations is None else job.annotations / f"{table}.csv"
    if path is None or not path.exists():
        return None
    return path if any(row["video"] == job.name for _, row in rows_of(path, ("video",))) else None


def _held(name: str) -> str:
    """Return the reasons why de-identification holds a recording for a manual review; empty otherwise."""
    facts = json.loads(Path(f"data/deidentify/{name}.evidence.json").read_text(encoding="utf-8"))
    return "; ".join(facts["reasons"]) if facts["verdict"] == "held" else ""


def prepare_all(jobs: list[Job], processes: int) -> Iterator[Prepared]:
    """Run the chains of several recordings side by side; yields each when it is done."""
    if processes <= 1 or len(jobs) <= 1:
        yield from map(prepare, jobs)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context, initializer=_log_progress) as pool:
        for future in as_completed([pool.submit(prepare, job) for job in jobs]):
            yield future.result()


def _log_progress() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
