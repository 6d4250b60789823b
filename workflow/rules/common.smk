# What every rules file shares: params, the list of recordings, and how a rule calls its step.
# Requires: params.yaml, the childgait package. Yields: no rule.
# It is included by each rules file, so that each of them runs alone as a DVC stage. Snakemake runs it each time: what takes
# time is done once.

import gc
import hashlib
from pathlib import Path

from childgait.domain.names import parse_video_name
from childgait.engine.source_files import stamp_of
from childgait.preflight.params import videos_of_table
from childgait.errors import StepError
from childgait.files.atomic import write_text
from childgait.files.recordings import list_recordings
from childgait.params import load_params

# A plan of thousands of jobs makes millions of objects that stay; to look for garbage among them costs a sixth of its time.
gc.set_threshold(200_000, 50, 100)


container: "envs/childgait.sif"  # only where a profile says `software-deployment-method: apptainer`; see envs/childgait.def


if "cohort" not in config:

    configfile: "params.yaml"


def as_workflow_error(function, *arguments):
    """Call it; what a person can mend is said in one sentence, without a traceback."""
    try:
        return function(*arguments)
    except StepError as error:
        raise WorkflowError(str(error))


if "PARAMS" not in globals():
    PARAMS = as_workflow_error(load_params, Path("params.yaml"))
COHORT = Path(PARAMS["cohort"].root)
HAS_VIDEO = PARAMS["cohort"].modality == "video"
ANNOTATIONS = Path(PARAMS["cohort"].annotations)


def recordings():
    """By name, the raw files of every recording; where the raw cohort is not at hand, the names that were registered."""
    if not (COHORT / "dataset").is_dir():
        registered = Path("data/register").glob("*.json")
        return {path.stem: None for path in sorted(registered) if not path.name.endswith(".record.json")}
    found = as_workflow_error(list_recordings, COHORT)
    return {recording.name: recording for recording in found if recording.name not in PARAMS["cohort"].exclude}


if "RECORDINGS" not in globals():
    RECORDINGS = recordings()
VIDEOS = list(RECORDINGS)
SUBJECT_OF = {name: as_workflow_error(parse_video_name, name).subject for name in VIDEOS}
SUBJECTS = sorted(set(SUBJECT_OF.values()))
SPLITS = [str(fold) for fold in range(PARAMS["split_subjects"].folds)] + ["holdout"]
PARTS = ("train", "validation", "test")


wildcard_constraints:
    video=r"\d+-\d+_[a-z]+_\d+-\d+",
    subject=r"\d+",
    fold=r"\d+|holdout",
    seed=r"\d+",
    model=r"[a-z0-9_]+",


def videos_of(subject):
    return [name for name in VIDEOS if SUBJECT_OF[name] == subject]


def annotation_for(table):
    """An input function: the person's table, for the videos that it names; an edit reruns only those."""
    path = ANNOTATIONS / f"{table}.csv"
    named = {video for _, video in as_workflow_error(videos_of_table, path)}
    return lambda wildcards: [str(path)] if wildcards.video in named else []


LONGEST_ARGUMENT = 60_000  # bytes; the system takes 131,072 for a whole command


def argument(rule_name, name, value):
    """`--name value`; a list too long for a command line goes through a file (`--name @file`)."""
    text = str(value)
    if len(text) > LONGEST_ARGUMENT:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        listing = Path(f".snakemake/arguments/{rule_name}-{name}-{digest}.txt")
        if not listing.exists():  # the Snakemake of another job may be reading it
            listing.parent.mkdir(parents=True, exist_ok=True)
            write_text(listing, "\n".join(text.split()) + "\n")
        text = f"@{listing}"
    return f"--{name.replace('_', '-')} {text}"


def flags(step, /, **values):
    """The step's command line from the rule's named inputs and outputs, and values such as name="{video}"."""

    def build(wildcards, input, output):
        given = [*input.items(), *output.items()]
        parts = [argument(step, name, value) for name, value in given if name != "code" and value]
        parts += [f"--{name.replace('_', '-')} {value.format(**wildcards)}" for name, value in values.items()]
        return " ".join(parts)

    return build


def code(step):
    """The source files that the step can reach, as one stamp of their hashes: an edit there, and only there, reruns it."""
    return str(stamp_of(step, Path(".snakemake/code")))


def memory(megabytes):
    """Grows with each retry."""
    return lambda wildcards, attempt: megabytes * attempt


def minutes(expected):
    return lambda wildcards, attempt: expected * attempt


def with_runtime(by_model, device, otherwise):
    """Minutes of a video's job: an hour where SAM 3 or Sapiens 2 looks at it on a GPU, a night on a CPU (3 to 7 hours seen)."""
    return (60 if device == "cuda" else 720) if by_model else otherwise
