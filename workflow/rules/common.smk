# Shared by all rules files: params, the list of recordings, and the command line of a step.
# Requires: params.yaml, the childgait package. Yields: no rule.
# Each rules file includes it, so that each can run alone as a DVC stage. Snakemake executes it at every include; slow parts
# are guarded to run once.

import gc
from pathlib import Path

from childgait.domain.names import parse_video_name
from childgait.engine.command_line import format_call
from childgait.engine.source_files import stamp_of
from childgait.errors import StepError
from childgait.files.annotations import rows_by_video, write_video_rows
from childgait.files.pooled_tables import GATED
from childgait.files.recordings import list_recordings
from childgait.params import load_params

# A plan of thousands of jobs creates millions of lasting objects; garbage collection among them took a sixth of the time.
gc.set_threshold(200_000, 50, 100)


container: "envs/childgait.sif"  # used only with `software-deployment-method: apptainer` in a profile; see envs/childgait.def


def as_workflow_error(function, *arguments):
    """Call a function; a StepError becomes a WorkflowError, which is printed without a traceback."""
    try:
        return function(*arguments)
    except StepError as error:
        raise WorkflowError(str(error))


if "PARAMS" not in globals():
    PARAMS = as_workflow_error(load_params, Path("params.yaml"))  # strict; Snakemake's own reader follows


if "cohort" not in config:

    configfile: "params.yaml"


COHORT = Path(PARAMS["cohort"].root)
HAS_VIDEO = PARAMS["cohort"].modality == "video"
ANNOTATIONS = Path(PARAMS["cohort"].annotations)


def find_recordings():
    """Map each recording's name to its raw files; without the raw cohort, each registered name to None."""
    if not (COHORT / "dataset").is_dir():
        registered = Path("data/register").glob("*.json")
        return {path.stem: None for path in sorted(registered) if not path.name.endswith(".record.json")}
    recordings = as_workflow_error(list_recordings, COHORT)
    return {recording.name: recording for recording in recordings if recording.name not in PARAMS["cohort"].exclude}


if "RECORDINGS" not in globals():
    RECORDINGS = find_recordings()
VIDEOS = list(RECORDINGS)
SUBJECT_OF = {name: as_workflow_error(parse_video_name, name).subject for name in VIDEOS}
VIDEOS_OF = {}  # a child's recordings; looked up once per child and input
for video, subject in SUBJECT_OF.items():
    VIDEOS_OF.setdefault(subject, []).append(video)
SUBJECTS = sorted(VIDEOS_OF)
SPLITS = [str(fold) for fold in range(PARAMS["split_subjects"].folds)] + ["holdout"]
PARTS = ("train", "validation", "test")


wildcard_constraints:
    video=r"[0-9]+-[0-9]+_[a-z]+_[0-9]+-[0-9]+",
    subject=r"[0-9]+",
    fold=r"[0-9]+|holdout",
    seed=r"[0-9]+",
    model=r"[a-z0-9_]+",


def select_videos(subject):
    return VIDEOS_OF.get(subject, [])


def annotation_for(table):
    """Return an input function: a file with the video's rows of a manual table, so that an edit reruns only this video."""
    path = ANNOTATIONS / f"{table}.csv"
    texts = as_workflow_error(rows_by_video, path)

    def rows(wildcards):
        text = texts.get(wildcards.video)
        return [] if text is None else [str(write_video_rows(path, wildcards.video, text))]

    return rows


def if_video(path):
    """Return the path in a study on videos; nothing in a study on keypoints."""
    return path if HAS_VIDEO else []


def list_files_to_pool(wildcards):
    """An input function: the files that the gate of a step pools."""
    pattern = GATED[wildcards.gated]
    return expand(pattern, video=VIDEOS) if "{video}" in pattern else [pattern]


def list_gate_outputs(step):
    return expand("data/gate/{gated}{ending}", gated=step, ending=(".parquet", ".json", ".record.json"))


def list_gates_of_stage():
    """The gates of the steps defined so far, or all of them in the Snakefile of the whole study."""
    steps = {rule.name for rule in workflow.rules}
    return [step for step in GATED if "WHOLE_STUDY" in globals() or step in steps]


def flags(step, /, **values):
    """Return a function that builds a step's command line from the rule's named inputs and outputs, and `values`.

    Every value is quoted for the shell there; `{params.call}` is put into a command as it is.
    """

    def build(wildcards, input, output):
        filled = {name: value.format(**wildcards) for name, value in values.items()}
        return format_call(step, [*input.items(), *output.items()], filled, Path(".snakemake/arguments"))

    return build


def code(step):
    """Return a file with the hashes of all source files that the step can reach: only an edit of these reruns it."""
    return str(stamp_of(step, Path(".snakemake/code")))


def memory(megabytes):
    """Return a resource function: megabytes, multiplied by the attempt."""
    return lambda wildcards, attempt: megabytes * attempt


def minutes(expected):
    """Return a resource function: minutes, multiplied by the attempt."""
    return lambda wildcards, attempt: expected * attempt


def with_runtime(uses_network, device, otherwise):
    """Minutes per video: 60 for SAM 3 or Sapiens 2 on a GPU, 720 on a CPU (3 to 7 hours were measured)."""
    return (60 if device == "cuda" else 720) if uses_network else otherwise
