"""Every reader of a user's file, with the name of its file and a valid content."""

from __future__ import annotations

import contextlib
import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from childgait.domain.evgs import LIMBS
from childgait.files.annotation_formats import FramePoints, write_frames
from childgait.files.annotation_formats import read_frames as read_frames_of
from childgait.files.corrections import read_corrections
from childgait.files.external_answers import read_external_table, read_kept_answers
from childgait.files.foreign_gait import SilhouetteSequence, read_skeletons
from childgait.files.hashes import sha256_of_text
from childgait.files.labels import read_children, read_sheets
from childgait.files.local_endpoint import completion_text
from childgait.files.model_description import ModelDescription
from childgait.files.pretrained import read_description
from childgait.files.regions import cleared_by, read_regions
from childgait.files.selections import read_selections
from childgait.files.split_list import read_split_list
from childgait.files.submission import COLUMNS as SUBMISSION
from childgait.files.submission import read_submission, read_subtypes
from childgait.files.tombstones import tombstones
from childgait.files.vault import COLUMNS as VAULT
from childgait.files.vault import read_openings
from childgait.files.video import probe, write_video
from childgait.files.vlm_protocol import parse_reply, recorded_reply
from childgait.gait.delivered_keypoints import frame_record, inspect_delivered
from childgait.gait.lab_angles import read_lab_angles
from childgait.lineage.subjects import check_table, names_subject, strip_table
from childgait.lineage.versions import outs_of, versions_in_lock
from childgait.params import load_params
from childgait.report.child.visits_table import read_requests
from childgait.review.decisions import Decisions
from childgait.review.ratings import Ratings
from childgait.steps.deidentify import read_layout
from childgait.training.bundle import DESCRIPTION, WEIGHTS, open_bundle
from childgait.user_files import read_model_config
from childgait.vision.faces import read_sidecar
from support.hostile_networks import detect, onnx_bytes
from support.small_bundle import rewrite, small_bundle

ROOT = Path(__file__).parents[2]
NAME = "0001-0001_left_1-12"


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


def inspect(path: Path) -> object:
    return inspect_delivered(path, "coco17")


def deeplabcut() -> bytes:
    parts = ["nose", *(f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle"))]
    rows = [
        ["scorer", *["net"] * 3 * len(parts)],
        ["bodyparts", *(part for part in parts for _ in range(3))],
        ["coords", *["x", "y", "likelihood"] * len(parts)],
        *([str(frame), *["90.5", "80.25", "0.9"] * len(parts)] for frame in range(2)),
    ]
    return ("\n".join(map(",".join, rows)) + "\n").encode()


def coco() -> bytes:
    row = {"image_id": 7, "category_id": 1, "keypoints": [9.5, 12.5, 2] * 17}
    return json.dumps({"images": [{"id": 7, "file_name": "f_000001.png"}], "annotations": [row]}).encode()


def coco_results() -> bytes:
    return json.dumps([{"image_id": n, "keypoints": [90.5, 120.5, 0.7] * 17, "score": 1} for n in range(2)]).encode()


def mmpose() -> bytes:
    person = {"keypoints": [[90.5, 120.5]] * 17, "keypoint_scores": [0.9] * 17}
    return json.dumps({"meta_info": {}, "instance_info": [{"frame_id": 1, "instances": [person]}]}).encode()


def openpose() -> bytes:
    return json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": [90.5, 120.5, 0.7] * 17}]}).encode()


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


def subtypes() -> bytes:
    return (",".join(SUBMISSION) + "\ntrack2-6," + "-1," * 35 + "type2,WNL\n").encode()


def read_frames(path: Path) -> object:
    return inspect_delivered(path.parent, "coco17")


def read_weights(path: Path) -> object:
    from childgait.models.checkpoints import read_state

    return read_state(path)


def safetensors() -> bytes:
    from safetensors.numpy import save

    return save({"a": np.zeros(2, np.float32)})


def annotated(format: str) -> Callable[[], bytes]:
    """Return a function that gives one annotated frame in a format of annotation tools."""

    def valid() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frames"
            write_frames(path, format, [FramePoints(NAME, 3, 48, 32, {"left_knee": (9.0, 12.0)})])
            return path.read_bytes()

    return valid


def pickled(value: object) -> bytes:
    return pickle.dumps(value, protocol=4)


def skeletons() -> bytes:
    sample = {"frame_dir": "a", "label": 0, "total_frames": 2, "keypoint": np.zeros((1, 2, 17, 2), np.float16)}
    return pickled({"split": {"train": ["a"]}, "annotations": [sample]})


@cache
def bundle_files() -> tuple[bytes, bytes]:
    """Return the bytes of bundle.json and of its weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = small_bundle(Path(folder))
        return (path / DESCRIPTION).read_bytes(), (path / WEIGHTS).read_bytes()


def read_bundle(path: Path) -> object:
    """Open a bundle whose description or weights were changed; with the hashes made right, as an attacker would."""
    for name, content in zip((DESCRIPTION, WEIGHTS), bundle_files(), strict=True):
        if name != path.name:
            (path.parent / name).write_bytes(content)
    with contextlib.suppress(ValueError, RecursionError, AttributeError, TypeError, KeyError):
        rewrite(path.parent, lambda values: None)
    return open_bundle(path.parent)


@cache
def c3d_bytes() -> bytes:
    import ezc3d

    with tempfile.TemporaryDirectory() as folder:
        file = ezc3d.c3d()
        file["parameters"]["POINT"]["RATE"]["value"] = [60.0]
        file["parameters"]["POINT"]["LABELS"]["value"] = ["LHipAngles", "RKneeAngles"]
        file["data"]["points"] = np.ones((4, 2, 12))
        file.write(f"{folder}/walk.c3d")
        return (Path(folder) / "walk.c3d").read_bytes()


def sidecar() -> bytes:
    values = {"width": 640, "height": 320, "colour": "BGR", "mean": [104, 117, 123], "scale": 1, "layout": "NCHW"}
    return json.dumps(values | {"licence": "none"}).encode()


def decide(path: Path) -> object:
    """Read the decisions about one video, add one, and take it back."""
    tables = Decisions(path.parent)
    row = {"region": "badge", "frame": "3", "x0": "1", "y0": "1", "x1": "2", "y1": "2"}
    version = tables.version(path.stem, NAME)
    made = tables.add(path.stem, NAME, [row], "A", "looked again", version, check=lambda _: None)
    version = tables.version(path.stem, NAME)
    return tables.undo(path.stem, NAME, "A", made.time, version, check=lambda _: None)


def erase_rows(path: Path) -> object:
    """Remove one child's rows; they must be gone, and the other child's remain."""
    ending, before = path.suffix, path.read_bytes()
    check_table(path, "0001")
    strip_table(path, "0001")
    after = path.read_bytes()
    assert not names_subject(after.decode(), "0001", ending)
    if not names_subject(before.decode(), "0001", ending) and ending == ".csv":
        assert after == before
    return after


READERS = {
    "onnx": Reader("face.onnx", detect, onnx_bytes),
    "sidecar": Reader("w.onnx.json", lambda path: read_sidecar(path.with_suffix("")), sidecar),
    "model_config": Reader(
        "config.json", lambda path: read_model_config(path.parent), lambda: b'{"model_type": "sam3_video"}'
    ),
    "completion": Reader(
        "answer.json",
        lambda path: completion_text(path.read_bytes(), "http://127.0.0.1:1/v1"),
        lambda: b'{"choices": [{"message": {"content": "{}"}}]}',
    ),
    "decisions": Reader(
        "regions.csv",
        decide,
        lines("video,region,frame,x0,y0,x1,y1,reviewer,time,reason", f"{NAME},a,3,1,1,2,2,B,2026-01-01,seen"),
    ),
    "erased_rows": Reader(
        "subjects.csv", erase_rows, lines("patient_id,age,sex", "0001,8.5,female", '0002,7,"male, tall"')
    ),
    "erased_entries": Reader("labels.json", erase_rows, scores),
    "external": Reader(
        "answers.csv",
        lambda path: read_external_table(path, "raters"),
        lines("child,target,probability,split_hash", f"0013,L.IC,0.82,{'a' * 64}"),
    ),
    "kept": Reader(
        "external.csv",
        read_kept_answers,
        lines("source,split_hash,subject,target,probability", f"raters,{'a' * 64},0013,L.IC,0.82"),
    ),
    "visits": Reader("visits.csv", read_requests, lines("path,child,age,sex,view", "a.mp4,0042,8.5,F,left")),
    "reply": Reader(
        f"{NAME}.json",
        lambda path: recorded_reply(path.parent, NAME, "p"),
        lambda: json.dumps({"video": NAME, "prompt_sha256": sha256_of_text("p"), "reply": "{}"}).encode(),
    ),
    "answer": Reader(
        "reply.txt",
        lambda path: parse_reply(path.read_text(errors="replace"), ["L.IC", "R.IC"]),
        lambda: b'{"L.IC": 0, "R.IC": "cannot tell"}',
    ),
    "bundle": Reader(DESCRIPTION, read_bundle, lambda: bundle_files()[0]),
    "bundle_weights": Reader(WEIGHTS, read_bundle, lambda: bundle_files()[1]),
    "silhouettes": Reader(
        "090.pkl",
        lambda path: SilhouetteSequence("001", "nm-01", "090", path.parent).read(),
        lambda: pickled(np.ones((2, 4, 3), np.uint8)),
    ),
    "skeletons": Reader("annotations.pkl", read_skeletons, skeletons),
    "c3d": Reader("walk.c3d", read_lab_angles, c3d_bytes),
    "deeplabcut": Reader(f"{NAME}_filtered_pose.csv", inspect, deeplabcut),
    "coco": Reader(f"{NAME}_filtered_pose.json", inspect, coco),
    "coco_results": Reader(f"{NAME}_filtered_pose.json", inspect, coco_results),
    "mmpose": Reader(f"{NAME}_filtered_pose.json", inspect, mmpose),
    "openpose": Reader("frame_000001.json", read_frames, openpose),
    "annotated_coco": Reader("c.json", lambda path: read_frames_of(path, "coco"), annotated("coco")),
    "annotated_cvat": Reader("c.xml", lambda path: read_frames_of(path, "cvat"), annotated("cvat")),
    "annotated_label_studio": Reader(
        "c.json", lambda path: read_frames_of(path, "label-studio"), annotated("label-studio")
    ),
    "ratings": Reader("labels.json", lambda path: Ratings(path, path.parent, 2).answered("A"), scores),
    "laboratory": Reader("walk.csv", read_lab_angles, lines("seconds,limb,hip,knee", "0.0,left,1,2", "0.1,left,1,2")),
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
    "vault": Reader(
        "vault.csv", read_openings, lines(",".join(VAULT), "v1,c0ffee,vault:1,gru,holdout,0,9,0.6,0.5,0.7")
    ),
    "subtypes": Reader("subtypes.csv", read_subtypes, subtypes),
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
