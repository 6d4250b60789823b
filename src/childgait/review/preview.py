"""Reruns the steps from the mask to the skeleton for one recording after the child was chosen, as a preview.

The steps run in a process of their own and write to a scratch folder beside the log of decisions; the study's own
outputs change with the next run alone. A preview counts as long as the rows of selections.csv are those it was made of
and the study's own mask is older. All previews are removed when the server stops.
"""

from __future__ import annotations

import multiprocessing
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from childgait.files.atomic import write_text
from childgait.review.study import Study

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

FIRST, LAST = "segment", "refine_pose"  # of the steps that run
FOLDER = "review-preview"
FAILURE = "failure.txt"
VERSION = "selections.txt"  # of the rows that a preview was made of
PreviewState = Literal["none", "running", "done", "failed"]


@dataclass(frozen=True)
class Preview:
    """How far the preview of a recording is, where its outputs are, and why it failed."""

    state: PreviewState
    study: Study | None = None
    message: str = ""


class Previews:
    """The previews of a study; at most one process at a time per recording."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._root = study.logs.parent / FOLDER
        self._processes: dict[str, SpawnProcess] = {}
        self._errors: dict[str, str] = {}  # why a preview was not begun
        self._lock = threading.Lock()

    def start(self, video: str, version: str) -> None:
        """Make the preview of a recording anew; `version` is that of its rows of selections.csv.

        The choice is saved already, so that a preview that cannot begin is a sentence on the page and no error.
        """
        with self._lock:
            self._stop(video)
            self._errors.pop(video, None)
            try:
                folder = self._lay_out(video, version)
                places = (folder, self._study.params_file.resolve(), self._study.annotations.resolve())
                process = multiprocessing.get_context("spawn").Process(
                    target=rerun_steps, args=(video, *map(str, places)), daemon=True
                )
                process.start()
                self._processes[video] = process
            except OSError as error:
                self._errors[video] = f"{self._root} cannot be written ({error.strerror or error})"

    def _lay_out(self, video: str, version: str) -> Path:
        """Make the scratch folder of a recording with links to what the steps read; returns it."""
        folder = self._root / video
        shutil.rmtree(folder, ignore_errors=True)
        inputs = folder / "data" / "deidentify"
        inputs.mkdir(parents=True)
        for source in (self._study.data / "deidentify").glob(f"{video}.*"):
            (inputs / source.name).symlink_to(source.resolve())
        write_text(folder / VERSION, version)
        return folder

    def find(self, video: str, version: str) -> Preview:
        """Return the preview of a recording, if it is one of these rows and newer than the study's own mask."""
        if video in self._errors:
            return Preview("failed", message=self._errors[video])
        folder = self._root / video
        marker = folder / VERSION
        if not marker.is_file() or marker.read_text() != version:
            return Preview("none")
        own = self._study.file("segment", video, ".summary.json")
        if own.is_file() and own.stat().st_mtime > marker.stat().st_mtime:
            return Preview("none")
        process = self._processes.get(video)
        if process is not None and process.is_alive():
            return Preview("running")
        if (folder / FAILURE).is_file():
            return Preview("failed", message=(folder / FAILURE).read_text(encoding="utf-8"))
        there = replace(self._study, data=folder / "data")
        if there.has("refine_pose", video, ".summary.json"):
            return Preview("done", there)
        return Preview("failed", message="the process ended before its outputs were written")

    def close(self) -> None:
        """Stop all processes and remove all previews."""
        with self._lock:
            for video in list(self._processes):
                self._stop(video)
            shutil.rmtree(self._root, ignore_errors=True)

    def _stop(self, video: str) -> None:
        process = self._processes.pop(video, None)
        if process is not None and process.is_alive():
            process.terminate()
            process.join()


def rerun_steps(video: str, folder: str, params: str, annotations: str) -> None:
    """Run the steps in the scratch folder; the sentence of a step that stopped is written there."""
    from childgait.engine.video_chain import Job, prepare

    root = Path(folder)
    job = Job(video, Path(), None, "", root, Path(params), Path(annotations))
    prepared = prepare(job, first=FIRST, last=LAST)
    if prepared.problem:
        write_text(root / FAILURE, f"{prepared.stopped_at}: {prepared.problem}")
