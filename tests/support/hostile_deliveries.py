"""Malformed files that come from elsewhere: predictions, visits, replies of a model, bundles, C3D files, pickles."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from childgait.files.external_answers import read_external_table, read_kept_answers
from childgait.files.foreign_gait import read_skeletons
from childgait.files.hashes import sha256_of_text
from childgait.files.local_endpoint import loopback_of
from childgait.files.vlm_protocol import recorded_reply
from childgait.gait.lab_angles import read_lab_angles
from childgait.report.child.find_recordings import find_recordings
from childgait.report.child.visits_table import read_requests
from childgait.training.bundle import open_bundle
from support.hostile_files import NAME, Try, deep, special, written
from support.hostile_networks import networks
from support.small_bundle import rewrite, small_bundle
from support.user_file_readers import READERS, pickled

HASH = "a" * 64


def deliveries() -> Iterator[Try]:
    yield from _tables()
    yield from _keypoints()
    yield from _replies()
    yield from _bundles()
    yield from _binaries()
    yield from networks()


def answers(path: Path) -> object:
    return read_external_table(path, "raters")


def find_all(path: Path) -> object:
    return [find_recordings(request) for request in read_requests(path)]


def _tables() -> Iterator[Try]:
    head = "child,target,probability,split_hash\n"
    for title, text, message in (
        ("probability 1_0", f"{head}0013,L.IC,1_0,{HASH}\n", "the probability is '1_0'"),
        ("probability ٠", f"{head}0013,L.IC,٠,{HASH}\n", "the probability is"),
        ("probability nan", f"{head}0013,L.IC,nan,{HASH}\n", "the probability is 'nan'"),
        ("probability 1e400", f"{head}0013,L.IC,1e400,{HASH}\n", "the probability is"),
        ("child with a name", f"{head}Anna,L.IC,0.1,{HASH}\n", "the child is 'Anna'"),
        ("child of Arabic digits", f"{head}٠٠١٣,L.IC,0.1,{HASH}\n", "the child is"),
        ("target with a formula", f"{head}0013,=1+1,0.1,{HASH}\n", "the target is '=1+1'"),
        ("a row twice", f"{head}0013,L.IC,0.1,{HASH}\n0013,L.IC,0.2,{HASH}\n", "is in the table twice"),
        ("a column twice", f"child,{head}1,0013,L.IC,0.1,{HASH}\n", "has the column 'child' twice"),
        ("an open quotation mark", f'{head}"0013,L.IC,0.1,{HASH}\n', "open quotation mark"),
        ("no row", head, "has no row"),
        ("a hash of 40 digits", f"{head}0013,L.IC,0.1,{HASH[:40]}\n", "the hash of the split is"),
    ):
        yield Try("predictions", title, written("answers.csv", text, answers), message)
    yield Try("predictions", "a FIFO", special("fifo", "answers.csv", answers), "is a FIFO")
    kept = f"source,split_hash,subject,target,probability\n../x,{HASH},0013,L.IC,0.1\n"
    yield Try("predictions", "kept: a source with a path", written("e.csv", kept, read_kept_answers), "is called")
    head = "path,child,age,sex,view\n"
    for title, text, message in (
        ("age 1_0", f"{head}a.mp4,0042,1_0,F,left\n", "the age '1_0' is no number"),
        ("age ٨", f"{head}a.mp4,0042,٨,F,left\n", "the age"),
        ("age inf", f"{head}a.mp4,0042,inf,F,left\n", "the age 'inf' is no number"),
        ("age 900", f"{head}a.mp4,0042,900,F,left\n", "the age is 900 years"),
        ("child with a name", f"{head}a.mp4,Anna,8,F,left\n", "the child's number is"),
        ("child with a path", f"{head}a.mp4,../../0042,8,F,left\n", "the child's number is"),
        ("sex of 9,000 characters", f"{head}a.mp4,0042,8,{'F' * 9000},left\n", "is unknown"),
        ("a path that is not there", f"{head}$(id).mp4,0042,8,F,left\n", "does not exist"),
        ("an unknown column", f"name,{head}Anna,a.mp4,0042,8,F,left\n", "has the unknown column 'name'"),
    ):
        yield Try("visits", title, written("visits.csv", text, find_all), message)


def _keypoints() -> Iterator[Try]:
    """Yield keypoints of other programs, one file per video."""

    def changed(reader: str, old: bytes, new: bytes) -> Callable[[Path], Callable[[], object]]:
        content = READERS[reader].valid()
        assert old in content, old
        return written(READERS[reader].file, content.replace(old, new, 1), READERS[reader].read)

    for reader, title, old, new, message in (
        ("coco", "a list as visibility", b"12.5, 2]", b"12.5, [[]]]", "the third value of a keypoint is [[]]"),
        ("coco", "a visibility of 0.5 among flags", b"12.5, 2]", b"12.5, 0.5]", "the third value of a keypoint is 0.5"),
        ("coco", "a text as position", b"[9.5", b'["9.5"', "keypoints and keypoint_scores cannot be read"),
        ("coco", "an image without a number", b"f_000001.png", b"f.png", "has no frame number"),
        ("coco", "an image of a list", b'"id": 7', b'"id": [7]', "an image has no id"),
        ("coco", "a position of 400 digits", b"[9.5", b"[" + b"9" * 400, "is not JSON"),
        ("coco_results", "a confidence of 3", b"0.7", b"3", "the third value of a keypoint is 3"),
        ("coco_results", "a frame of 10**9", b'"image_id": 1', b'"image_id": 1000000000', "has no frame number"),
        ("coco_results", "a frame far behind the others", b'"image_id": 1', b'"image_id": 99999999', "declares"),
        ("mmpose", "a negative frame", b'"frame_id": 1', b'"frame_id": -1', "has the frame_id -1"),
        ("mmpose", "a frame that is true", b'"frame_id": 1', b'"frame_id": true', "has the frame_id True"),
        ("mmpose", "instances that are a number", b'"instances": [', b'"instances": 3, "x": [', "instances is no list"),
        ("mmpose", "a key twice", b'"meta_info": {}', b'"instance_info": 1', "stands twice"),
        ("deeplabcut", "a number with an underscore", b"90.5", b"9_0.5", "are no numbers"),
        ("deeplabcut", "an infinite position", b"90.5", b"inf", "are no numbers"),
        ("deeplabcut", "a likelihood of 2", b"0.9", b"2", "the likelihood is 2"),
        ("deeplabcut", "a frame twice", b"\n1,", b"\n0,", "the frame is '0'"),
        ("deeplabcut", "an open quotation mark", b"90.5", b'"90.5', "open quotation mark"),
        ("deeplabcut", "a body part twice", b"right_hip", b"left_hip", "two body parts are named left_hip"),
        ("openpose", "four values per point", b", 0.7]", b", 0.7, 1]", "cannot be read"),
    ):
        yield Try("keypoints", f"{reader}: {title}", changed(reader, old, new), message)


def _replies() -> Iterator[Try]:
    def recorded(path: Path) -> object:
        return recorded_reply(path.parent, NAME, "p")

    good = {"video": NAME, "prompt_sha256": sha256_of_text("p"), "reply": "{}"}
    for title, text, message in (
        ("a list", "[]", "contains no reply"),
        ("nested 100,000 deep", deep("["), "nested too deeply"),
        ("of another prompt", json.dumps(good | {"prompt_sha256": "0"}), "was recorded with another prompt"),
        ("of another video", json.dumps(good | {"video": "0002"}), "was recorded with another prompt"),
        ("a key twice", '{"reply": "a", "reply": "b"}', "stands twice"),
        ("half a character", json.dumps(good | {"reply": "\ud800"}), "is not JSON"),
    ):
        yield Try("replies", title, written(f"{NAME}.json", text, recorded), message)
    for address in (
        *("http://example.org/v1", "https://127.0.0.1/v1", "http://127.0.0.1@example.org", "http://[::ffff:9.9.9.9]"),
        *("http://127.0.0.1.example.org", "file:///etc/passwd", "http://[", "http://127.0.0.1:99999", "http://0/v1"),
        *("http://2130706433", "http://localhost.", "ftp://localhost"),
    ):
        yield Try("replies", f"endpoint {address}", lambda _, to=address: lambda: loopback_of(to), "is not on this")


def _bundles() -> Iterator[Try]:
    def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Callable[[], object]]:
        """Make a try whose hashes are right: the one who writes a bundle can compute them."""

        def make(folder: Path) -> Callable[[], object]:
            path = rewrite(small_bundle(folder / "bundle"), change)
            return lambda: open_bundle(path)

        return make

    for title, change, message in (
        ("no run", lambda v: v.update(runs=[]), "no run is of the main model"),
        ("a main model that did not run", lambda v: v.update(main="x"), "no run is of the main model"),
        ("an unknown model", lambda v: (v.update(main="x"), v["runs"][0]["description"].update(model="x")), "x"),
        ("views of one item", lambda v: v.update(views={"IC": ["left"]}), "views lacks items"),
        ("an unknown view", lambda v: v["views"].update(IC=["above"]), "unknown view"),
        ("no limits", lambda v: v.update(limits={}), "limits lacks items"),
        ("no total error", lambda v: v.update(total_error={}), "total_error is missing"),
        ("a slope missing", lambda v: v["runs"][0]["recalibration"].update(slope={}), "recalibration"),
        ("params without a cohort", lambda v: v["params"].pop("cohort"), "section 'cohort' is missing"),
        ("a command in params", lambda v: v["params"]["cohort"].update(root="$(id)"), "path without blanks"),
        ("format 99", lambda v: v.update(format=99), "has format 99"),
        ("a number as text", lambda v: v.update(error_rate="x"), "error_rate"),
        ("an unknown key", lambda v: v.update(x=1), "x:"),
    ):
        yield Try("bundles", title, changed(change), message)

    def described(content: bytes) -> Callable[[Path], Callable[[], object]]:
        def make(folder: Path) -> Callable[[], object]:
            path = small_bundle(folder / "bundle")
            (path / "bundle.json").write_bytes(content)
            return lambda: open_bundle(path)

        return make

    for title, content, message in (
        ("a list", b"[]", "is not the description"),
        ("nested 100,000 deep", b"[" * 100_000, "nested too deeply"),
        ("a key twice", b'{"format": 1, "format": 1}', "stands twice"),
        ("Latin-1", b'{"card": "\xfc"}', "is not JSON"),
        ("a changed letter", READERS["bundle"].valid().replace(b"coin", b"coim", 1), "was changed"),
    ):
        yield Try("bundles", title, described(content), message)
    nan = np.full(1, np.nan)
    for title, weights, message in (
        ("weights that are text", b"weights", "cannot be read as weights"),
        ("weights with NaN", {"coin/holdout-0/seed": nan}, "contains NaN"),
        ("weights of no run", {"x": np.ones(1)}, "has nothing of the run"),
        ("weights without a reference", {"coin/holdout-0/seed": np.ones(1)}, "no reference of gait features"),
    ):
        yield Try("bundles", title, weighing(weights), message)


def weighing(weights: bytes | dict[str, np.ndarray]) -> Callable[[Path], Callable[[], object]]:
    """Make a try of a bundle with other weights, whose hash the description states."""

    def make(folder: Path) -> Callable[[], object]:
        from safetensors.numpy import save

        path = small_bundle(folder / "bundle")
        (path / "weights.safetensors").write_bytes(weights if isinstance(weights, bytes) else save(weights))
        rewrite(path, lambda values: None)
        return lambda: open_bundle(path)

    return make


def _binaries() -> Iterator[Try]:
    good = READERS["c3d"].valid()
    for title, content, message in (
        ("text", b"walk\n" * 300, "it has no header"),
        ("cut in half", good[: len(good) // 2], "is no whole C3D file"),
        ("65,535 frames", good[:8] + b"\xff\xff" + good[10:], "is too short for them"),
        ("65,535 points", good[:2] + b"\xff\xff" + good[4:], "states 65535 points"),
        ("parameters beyond the end", b"\xff" + good[1:], "is no whole C3D file"),
        ("a scale that is NaN", good[:12] + struct.pack("<f", float("nan")) + good[16:], "C3D"),
        ("DEC byte order", good[:515] + bytes([85]) + good[516:], "unknown byte order"),
    ):
        yield Try("laboratory", f"C3D: {title}", written("walk.c3d", content, read_lab_angles), message)
    yield Try("laboratory", "C3D: a FIFO", special("fifo", "walk.c3d", read_lab_angles), "is a FIFO")
    sample = {"frame_dir": "a", "label": 0, "total_frames": 2, "keypoint": np.zeros((1, 2, 17, 2), np.float32)}
    for title, value, message in (
        ("a split that is a number", {"split": {"train": 3}, "annotations": [sample]}, "the split"),
        ("a split of lists", {"split": {"train": [[1]]}, "annotations": [sample]}, "the split"),
        ("a split that is a list", {"split": [1], "annotations": [sample]}, "the split"),
        ("annotations of numbers", {"annotations": [1]}, "lacks keys"),
        ("frames that are a text", {"annotations": [sample | {"total_frames": "2"}]}, "total_frames is"),
        ("a label that is a list", {"annotations": [sample | {"label": [0]}]}, "has another type"),
    ):
        make = written("annotations.pkl", pickled(value), read_skeletons)
        yield Try("pickles", title, make, message)
