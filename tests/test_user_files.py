"""Whatever stands in a user's file, a reader succeeds or raises one StepError.

Hypothesis writes arbitrary bytes, JSON, YAML and CSV, and changes valid files. The seed is fixed; `make fuzz` tries
other ones, and more of them (FUZZ_EXAMPLES per reader and kind of content).
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from childgait.errors import StepError
from support.user_file_readers import NAME, READERS, TEXTS

LONGEST = 10  # seconds of processor time that one content may take
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
FIXED = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=[*HealthCheck],
)


def check(name: str, content: bytes) -> None:
    """Read a content; anything but success or a StepError of one line fails."""
    reader = READERS[name]
    if name in TEXTS:
        content = content.decode(errors="replace").encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / reader.file
        path.write_bytes(content)
        message, began = "", time.process_time()
        try:
            reader.read(path)
        except StepError as error:
            message = str(error)
        assert time.process_time() - began < LONGEST
    message.encode()  # printable: no half characters
    assert len(message) < 20_000


KEYS = st.sampled_from(
    ["patient_id", "left", "right", "1", "17", "01", "²", "Total", "rater", "instance_info", "keypoints", "subject"]
    + ["images", "annotations", "image_id", "id", "file_name", "frame_id", "instances", "people", "pose_keypoints_2d"]
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
TREE_READERS = ["labels", "frame", "facts", "tombstones", "model", "pretraining", "params", "dvc", "lock"]
TREE_READERS += ["reply", "answer", "bundle", "ratings", "coco", "mmpose", "openpose", "annotated_coco"]
TREE_READERS += ["annotated_label_studio", "sidecar", "model_config", "completion", "erased_entries"]
ROW_READERS = ["subjects", "regions", "cleared", "selections", "corrections", "split", "submission", "laboratory"]
ROW_READERS += ["subtypes", "vault", "external", "kept", "visits", "deeplabcut", "decisions", "erased_rows"]
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


@pytest.mark.parametrize("name", TREE_READERS)
def test_any_tree_of_values(name: str) -> None:
    """JSON is YAML, too."""

    @FIXED
    @given(TREES, st.integers(0, 3))
    def run(tree: object, wrap: int) -> None:
        tree = [tree] if wrap == 1 else [{"patient_id": 1, "left": tree}] if wrap == 2 else tree
        tree = {"instance_info": [tree], "video_info": tree} if wrap == 3 else tree
        check(name, json.dumps(tree).encode())

    run()


@pytest.mark.parametrize("name", ROW_READERS)
def test_any_rows(name: str) -> None:
    header = READERS[name].valid().split(b"\n")[0].decode()

    @FIXED
    @given(st.lists(st.lists(CELLS, max_size=header.count(",") + 2), max_size=4), st.booleans())
    def run(rows: list[list[str]], spoil: bool) -> None:
        text = "\n".join([header + ("," + header if spoil else ""), *(",".join(row) for row in rows)])
        check(name, text.encode(errors="replace"))

    run()


@pytest.mark.parametrize("name", TREE_READERS)
@pytest.mark.parametrize("opening", ["[", '{"a":', "- "])
def test_nesting_of_100_000_levels(name: str, opening: str) -> None:
    check(name, opening.encode() * 100_000)
