"""The files of a study that the review app reads, by recording; only what `deidentify` wrote is ever shown.

A path is never taken from a request: a request names a recording, and the name must have the release's form.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from childgait.domain.names import VideoName, parse_video_name
from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.files.records import Record
from childgait.user_files import check_regular, read_facts, read_json

if TYPE_CHECKING:
    from childgait.params import RefinePose

MAKE_AGAIN = "run `make run`"
CLEAR = ("covered", "cleared")  # verdicts of a recording whose frames may be shown and exported


class Evidence(TypedDict):
    """The part of a recording's evidence of de-identification that the app reads."""

    verdict: str
    reasons: list[str]
    frames: int
    width: int
    height: int
    seconds: float
    decoded_sha256: str


@dataclass(frozen=True)
class Study:
    """Where a study's files are: outputs, manual tables, the cohort and its labels file."""

    data: Path = Path("data")
    annotations: Path = Path("annotations")
    cohort: Path = Path("data/raw")
    labels: Path = Path("data/raw/labels.json")
    logs: Path = Path("logs/review.jsonl")
    highest: int = 2  # of the labels' scale
    most_legs_missing: float = 0.4
    min_ok_share: float = 0.9
    params_file: Path = Path("params.yaml")

    def refinement(self) -> RefinePose:
        """Read the settings by which `refine_pose` runs."""
        from childgait.params import RefinePose, load_section

        return load_section(self.params_file, RefinePose)

    def networks(self) -> list[str]:
        """List the networks that the study trains, baselines left out."""
        from childgait.params import Finetune, load_section

        return list(load_section(self.params_file, Finetune).models)

    def recordings(self) -> list[VideoName]:
        """List the de-identified recordings, by name."""
        suffix = ".evidence.json"
        names = (path.name.removesuffix(suffix) for path in (self.data / "deidentify").glob(f"*{suffix}"))
        return sorted(parse_video_name(name) for name in names)

    def with_keypoints(self) -> list[str]:
        """List the recordings whose keypoints are refined, by name."""
        return [name for name in map(str, self.recordings()) if self.has("refine_pose", name, ".poses.parquet")]

    def evidence(self, video: str) -> Evidence:
        """Read what de-identification found in one recording."""
        path = self.file("deidentify", video, ".evidence.json")
        if not path.is_file():
            raise Gone(f"{path} is missing: {video} is not de-identified", hint=MAKE_AGAIN)
        facts = read_facts(path, "verdict", "reasons")
        if facts["verdict"] == "keypoints":
            raise StepError(f"{video} has keypoints and no video", hint="there is nothing to watch")
        for key in ("frames", "width", "height", "seconds", "decoded_sha256"):
            if key not in facts:
                raise StepError(f"{path} lacks {key}", hint=MAKE_AGAIN)
        return cast(Evidence, facts)

    def file(self, step: str, video: str, ending: str) -> Path:
        """Return the path of a step's output for one recording, whose name is checked."""
        return self.data / step / f"{parse_video_name(video)}{ending}"

    def has(self, step: str, video: str, ending: str) -> bool:
        """Whether a step's output of one recording exists."""
        return self.file(step, video, ending).is_file()

    def covered_video(self, video: str) -> Path:
        """Return the de-identified video; fail unless it is the file whose hash `deidentify` recorded.

        A raw recording that was copied or linked to this place has another hash.
        """
        path = self.file("deidentify", video, ".mp4")
        if not path.exists():
            raise Gone(f"the de-identified video {path} is gone", hint=MAKE_AGAIN)
        check_regular(path)
        if path.resolve().is_relative_to((self.cohort / "dataset").resolve()):
            raise NotDeidentified(f"{path} is a link to a raw recording")
        if sha256(path) != self._recorded_hash(video):
            raise NotDeidentified(f"{path} is not the file that deidentify wrote")
        return path

    def _recorded_hash(self, video: str) -> str:
        path = self.file("deidentify", video, ".record.json")
        if not path.exists():
            raise NotDeidentified(f"{path}, which holds the hash of the covered video, is missing")
        record = cast(Record, read_json(path))
        for entry in record["outputs"].get("covered", []):
            if "sha256" in entry:
                return entry["sha256"]
        raise NotDeidentified(f"{path} records no covered video")

    def strip(self, video: str) -> Path:
        """Return the review sheet of a recording: its riskiest frames, covered."""
        path = self.file("deidentify", video, ".heads.jpg")
        if path.resolve().is_relative_to((self.cohort / "dataset").resolve()):
            raise NotDeidentified(f"{path} is a link to a raw recording")
        return path


class Gone(StepError):
    """The error for an output that is no longer there."""


class Forbidden(StepError):
    """The error for what this person or this page may not see."""


class NotDeidentified(Forbidden):
    """The error for a file that is not proven to be de-identified; it is never shown."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="remove it and run `make run`, which makes it again")


def open_study(params_file: Path, labels: Path | None = None, data: Path = Path("data")) -> Study:
    """Read params.yaml and return the study's places; `labels` is another file for ratings than the cohort's."""
    from childgait.params import load_params

    params = load_params(params_file)
    cohort = Path(params["cohort"].root)
    return Study(
        data=data,
        annotations=Path(params["cohort"].annotations),
        cohort=cohort,
        labels=labels or cohort / "labels.json",
        highest=2 if params["build_labels"].scale == "ordinal" else 1,
        most_legs_missing=params["gate"].most_legs_missing,
        min_ok_share=params["segment"].min_ok_share,
        params_file=params_file,
    )
