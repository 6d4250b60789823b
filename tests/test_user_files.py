"""Whatever stands in a user's file, a reader succeeds or raises one StepError.

Hypothesis writes arbitrary bytes, JSON, YAML and CSV, and changes valid files. The seed is fixed; `make fuzz` tries
other ones, and more of them (FUZZ_EXAMPLES per reader and kind of content).
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from childgait.domain.evgs import LIMBS
from childgait.errors import StepError
from childgait.files.corrections import read_corrections
from childgait.files.labels import read_children, read_sheets
from childgait.files.model_description import ModelDescription
from childgait.files.pretrained import read_description
from childgait.files.regions import cleared_by, read_regions
from childgait.files.selections import read_selections
from childgait.files.split_list import read_split_list
from childgait.files.submission import COLUMNS as SUBMISSION
from childgait.files.submission import read_submission
from childgait.files.tombstones import tombstones
from childgait.files.video import probe, write_video
from childgait.gait.delivered_keypoints import frame_record, inspect_delivered
from childgait.lineage.versions import outs_of, versions_in_lock
from childgait.params import load_params
from childgait.steps.deidentify import read_layout

ROOT = Path(__file__).parents[1]
NAME = "0001-0001_left_1-12"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
FIXED = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=[*HealthCheck],
)


@dataclass(frozen=True)
class Reader:
    """A reader of a user's file, the file's name, and a valid content."""

    file: str
    read: Callable[[Path], object]
    valid: Callable[[], bytes]


@cache
def video_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.mp4"
        pixels = [np.full((32, 48, 3), 20 * index, np.uint8) for index in range(6)]
        write_video(path, pixels, [Fraction(index, 60) for index in range(6)])
        return path.read_bytes()


def frame_bytes() -> bytes:
    info = {"width": 48, "height": 32, "fps": 60, "total_frames": 1}
    people = [(np.full((17, 2), 9.0), np.full(17, 0.9))]
    return json.dumps(frame_record(0, people, info)).encode()


@cache
def zip_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poses.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x/frame_000001.json", frame_bytes())
        return path.read_bytes()


def scores() -> bytes:
    limb = {**{str(item): 0 for item in range(1, 18)}, "Total": 0}
    return json.dumps([{"patient_id": "0001", "rater": "A", **dict.fromkeys(LIMBS, limb)}]).encode()


def lines(*rows: str) -> Callable[[], bytes]:
    return lambda: ("\n".join(rows) + "\n").encode()


def submission() -> bytes:
    return (",".join(SUBMISSION) + "\ntrack1-4," + "0," * 34 + "0,-1,-1\n").encode()


def read_frames(path: Path) -> object:
    return inspect_delivered(path.parent, "coco17")


def read_weights(path: Path) -> object:
    from childgait.models.checkpoints import read_state

    return read_state(path)


def safetensors() -> bytes:
    from safetensors.numpy import save

    return save({"a": np.zeros(2, np.float32)})


READERS = {
    "labels": Reader("labels.json", lambda path: read_sheets(path, highest=2), scores),
    "subjects": Reader("subjects.csv", read_children, lines("patient_id,age,sex,aid", "0001,8.5,female,")),
    "regions": Reader(
        "regions.csv",
        lambda path: read_regions(path, NAME, 12),
        lines("video,region,frame,x0,y0,x1,y1", f"{NAME},a,3,1,1,2,2"),
    ),
    "cleared": Reader(
        "cleared.csv",
        lambda path: cleared_by(path, NAME, "ab"),
        lines("video,sha256,reviewer,reason", f'{NAME},ab,me,"looked, twice"'),
    ),
    "selections": Reader(
        "selections.csv",
        lambda path: read_selections(path, NAME, 12, (32, 48)),
        lines("video,frame,x0,y0,x1,y1", f"{NAME},3,1,1,2,2"),
    ),
    "corrections": Reader(
        "corrections.csv",
        lambda path: read_corrections(path, NAME, 12),
        lines("video,frame,joint,x,y,reason", f"{NAME},3,left_knee,1,1,moved"),
    ),
    "split": Reader("split.csv", read_split_list, lines("subject,part", "0001,test")),
    "submission": Reader("submission.csv", read_submission, submission),
    "params": Reader("params.yaml", load_params, (ROOT / "params.yaml").read_bytes),
    "frame": Reader("frame_000001.json", read_frames, frame_bytes),
    "zip": Reader("poses.zip", lambda path: inspect_delivered(path, "coco17"), zip_bytes),
    "video": Reader("v.mp4", probe, video_bytes),
    "facts": Reader("facts.json", lambda path: read_layout(path, path), lambda: b'{"pose_layout": "coco17"}'),
    "tombstones": Reader("erased.jsonl", lambda path: tombstones(path.parent), lambda: b'{"subject": "ab"}\n'),
    "model": Reader("model.json", ModelDescription.read, lambda: b'{"model": "stgcn", "kind": "network"}'),
    "pretraining": Reader(
        "w.json", lambda path: read_description(path.with_suffix(".safetensors")), lambda: b'{"network": {}, "seed": 1}'
    ),
    "weights": Reader("w.safetensors", read_weights, safetensors),
    "dvc": Reader("x.dvc", lambda path: outs_of("x.dvc", path.read_text()), lambda: b"outs:\n- path: raw\n  md5: ab\n"),
    "lock": Reader(
        "dvc.lock",
        lambda path: versions_in_lock(path.read_text()),
        lambda: b"stages:\n  a:\n    outs:\n    - path: x\n",
    ),
}
TEXTS = ("dvc", "lock")  # read by the caller, as UTF-8


def check(name: str, content: bytes) -> None:
    """Read a content; anything but success or a StepError of one line fails."""
    reader = READERS[name]
    if name in TEXTS:
        content = content.decode(errors="replace").encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / reader.file
        path.write_bytes(content)
        message = ""
        try:
            reader.read(path)
        except StepError as error:
            message = str(error)
    message.encode()  # printable: no half characters
    assert len(message) < 20_000


KEYS = st.sampled_from(
    ["patient_id", "left", "right", "1", "17", "01", "²", "Total", "rater", "instance_info", "keypoints", "subject"]
    + ["keypoint_scores", "video_info", "fps", "width", "total_frames", "frame_index", "pose_layout", "stages", "outs"]
    + ["cohort", "finetune", "seeds", "exclude", "root", "path", "md5", "network", "model", "kind", "\ud800"]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.sampled_from(["0001", "", "x" * 3000, "²", "\0", "\ud800", "A"]),
    st.text(max_size=8),
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)
CELLS = st.one_of(
    st.sampled_from(
        [NAME, "0001", "", "3", '"', '""', '"a', "1e400", "nan", "٨", "1_0", "\0", "\n", "\r", "\u2028", "x" * 11_000]
    ),
    st.integers(-(10**40), 10**40).map(str),
    st.text(max_size=6),
)
WORDS = st.sampled_from(
    [
        "&a",
        "*a",
        "<<:",
        "!!int x",
        "!!binary x",
        "? [a]",
        "- ",
        "{",
        "[",
        "[" * 3000,
        "2020-99-99",
        "!!bool x",
        ": ",
        "1" * 5000,
    ]
)


@pytest.mark.parametrize("name", READERS)
def test_arbitrary_bytes(name: str) -> None:
    @FIXED
    @given(st.binary(max_size=300))
    def run(content: bytes) -> None:
        check(name, content)

    run()


@pytest.mark.parametrize("name", READERS)
def test_a_valid_file_that_was_changed(name: str) -> None:
    """Cut it, overwrite a few bytes, insert some, repeat a part."""
    valid = READERS[name].valid()
    check(name, valid)

    @FIXED
    @given(st.data())
    def run(data: st.DataObject) -> None:
        content = bytearray(valid)
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content)))
            kind = data.draw(st.sampled_from(["cut", "write", "insert", "repeat", "word"]))
            if kind == "cut":
                content = content[:place]
            elif kind == "write":
                content[place : place + 1] = data.draw(st.binary(min_size=1, max_size=2))
            elif kind == "insert":
                content[place:place] = data.draw(st.binary(max_size=6))
            elif kind == "word":
                content[place:place] = data.draw(WORDS | CELLS).encode(errors="replace")
            else:
                content[place:place] = content[place : place + data.draw(st.integers(1, 60))]
        check(name, bytes(content))

    run()


@pytest.mark.parametrize(
    "name", ["labels", "frame", "facts", "tombstones", "model", "pretraining", "params", "dvc", "lock"]
)
def test_any_tree_of_values(name: str) -> None:
    """JSON is YAML, too."""

    @FIXED
    @given(TREES, st.integers(0, 3))
    def run(tree: object, wrap: int) -> None:
        tree = [tree] if wrap == 1 else [{"patient_id": 1, "left": tree}] if wrap == 2 else tree
        tree = {"instance_info": [tree], "video_info": tree} if wrap == 3 else tree
        check(name, json.dumps(tree).encode())

    run()


@pytest.mark.parametrize("name", ["subjects", "regions", "cleared", "selections", "corrections", "split", "submission"])
def test_any_rows(name: str) -> None:
    header = READERS[name].valid().split(b"\n")[0].decode()

    @FIXED
    @given(st.lists(st.lists(CELLS, max_size=header.count(",") + 2), max_size=4), st.booleans())
    def run(rows: list[list[str]], spoil: bool) -> None:
        text = "\n".join([header + ("," + header if spoil else ""), *(",".join(row) for row in rows)])
        check(name, text.encode(errors="replace"))

    run()


@pytest.mark.parametrize(
    "name", ["labels", "frame", "facts", "tombstones", "model", "pretraining", "params", "dvc", "lock"]
)
@pytest.mark.parametrize("opening", ["[", '{"a":', "- "])
def test_nesting_of_100_000_levels(name: str, opening: str) -> None:
    check(name, opening.encode() * 100_000)
