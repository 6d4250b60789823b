"""Readers of other tools' layouts: fixtures are read as they were written; hostile pickles run nothing."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from childgait.errors import StepError
from childgait.files.array_pickles import load_arrays
from childgait.files.foreign_gait import SilhouetteSequence, casia_b_role, list_silhouettes, rank_one, read_skeletons


class Calls:
    """Pickles into a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("dtype", ["u1", "<f2", "<f4", ">i8", "?"])
def test_arrays_are_read_as_written(protocol: int, dtype: str, tmp_path: Path) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    written = {"a": array, "b": [np.asfortranarray(array[0]), 1, "x", None], "c": np.float32(2.5)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(written, protocol))
    read = load_arrays(tmp_path / "a.pkl")
    assert read["a"].dtype == array.dtype
    np.testing.assert_array_equal(read["a"], array)
    np.testing.assert_array_equal(read["b"][0], array[0])
    assert (read["b"][1:], read["c"]) == ([1, "x", None], 2.5)


def hostile(folder: Path) -> dict[str, bytes]:
    target = str(folder / "ran")
    nested: list[Any] = []
    for _ in range(60):
        nested = [nested]
    return {
        "a command": pickle.dumps(Calls(os.system, f"touch {target}")),
        "eval": pickle.dumps(Calls(eval, f"open({target!r}, 'w')")),
        "numpy's own loader": pickle.dumps(Calls(np.load, target)),
        "an array of terabytes": pickle.dumps(Calls(np.ndarray, (10**12,))),
        "zeros": pickle.dumps(Calls(np.zeros, 10**12)),
        "an array of objects": pickle.dumps(np.array([{}, []], dtype=object)),
        "records": pickle.dumps(np.zeros(2, dtype=[("a", "i4")])),
        "an object": pickle.dumps(Path("x")),
        "a nested list": pickle.dumps(nested),
        "half a file": pickle.dumps(np.zeros(9))[:40],
        "no pickle": b"silhouettes",
        "nothing": b"",
    }


def test_hostile_pickles_are_refused(tmp_path: Path) -> None:
    for name, content in hostile(tmp_path).items():
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(StepError, match=r"contains|no readable pickle"):
            load_arrays(tmp_path / "a.pkl")
        assert not (tmp_path / "ran").exists(), name


def test_silhouette_folders_as_pickle_or_png(tmp_path: Path) -> None:
    array = np.zeros((3, 64, 44), np.uint8)
    array[:, 10:50, 15:30] = 255
    for person, kind in (("001", "nm-01"), ("075", "cl-02")):
        folder = tmp_path / person / kind / "090"
        folder.mkdir(parents=True)
        if person == "001":
            (folder / "090.pkl").write_bytes(pickle.dumps(array))
        else:
            for number, frame in enumerate(array):
                cv2.imwrite(str(folder / f"{number:03d}.png"), frame)
    sequences = list_silhouettes(tmp_path)
    assert [(s.person, s.kind, s.view) for s in sequences] == [("001", "nm-01", "090"), ("075", "cl-02", "090")]
    for sequence in sequences:
        np.testing.assert_array_equal(sequence.read(), array)
    assert [casia_b_role(s) for s in sequences] == ["train", "probe"]


def test_malformed_silhouettes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no folders PERSON/KIND/VIEW"):
        list_silhouettes(tmp_path)
    folder = tmp_path / "001/nm-01/090"
    folder.mkdir(parents=True)
    (sequence,) = list_silhouettes(tmp_path)
    with pytest.raises(StepError, match=r"has 0 \.pkl and 0 \.png"):
        sequence.read()
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 60_000, 60_000) + b"\x08\x00\x00\x00\x00"
    (folder / "0.png").write_bytes(bomb)
    with pytest.raises(StepError, match="is no PNG of at most"):
        sequence.read()
    (folder / "0.pkl").write_bytes(pickle.dumps(np.zeros((3, 64), np.uint8)))
    with pytest.raises(StepError, match="is no uint8 array"):
        sequence.read()


def test_probe_and_gallery_of_casia_b() -> None:
    def walk(person: str, kind: str, view: str) -> SilhouetteSequence:
        return SilhouetteSequence(person, kind, view, Path())

    assert [casia_b_role(walk("080", kind, "000")) for kind in ("nm-04", "nm-05", "bg-02", "cl-03")] == [
        "gallery",
        "probe",
        "probe",
        "unused",
    ]
    gallery = [walk(person, "nm-01", view) for person in ("075", "076") for view in ("000", "090")]
    probes = [walk(person, "nm-05", "000") for person in ("075", "076")] + [walk("075", "cl-01", "090")]
    places = np.array([[0.0], [0.1], [5.0], [5.1]])
    result = rank_one(np.array([[0.2], [4.0], [4.9]]), places, probes, gallery)
    assert result == {"nm": 1.0, "cl": 0.0}


def annotations(**changes: Any) -> dict[str, Any]:
    sample = {"frame_dir": "a", "label": 1, "total_frames": 4, "img_shape": (96, 128)}
    sample |= {"keypoint": np.ones((1, 4, 17, 2), np.float16), "keypoint_score": np.ones((1, 4, 17), np.float16)}
    return {"split": {"train": ["a"]}, "annotations": [sample | changes]}


def test_skeleton_annotations(tmp_path: Path) -> None:
    (tmp_path / "s.pkl").write_bytes(pickle.dumps(annotations()))
    read = read_skeletons(tmp_path / "s.pkl")
    assert read.split == {"train": ["a"]}
    assert (read.samples[0].xy.shape, read.samples[0].score.shape) == ((4, 17, 2), (4, 17))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_frames": 5}, "total_frames is 5"),
        ({"keypoint": np.ones((4, 17, 2))}, "is no array"),
        ({"keypoint_score": np.ones((1, 3, 17))}, "does not fit"),
        ({"frame_dir": "b"}, "the split names 'a'"),
        ({"label": "1"}, "another type"),
    ],
)
def test_malformed_annotations_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "s.pkl").write_bytes(pickle.dumps(annotations(**changes)))
    with pytest.raises(StepError, match=message):
        read_skeletons(tmp_path / "s.pkl")


def test_a_list_that_a_pickle_names_often_is_copied_once(tmp_path: Path) -> None:
    nested: list[Any] = [1]
    for _ in range(15):
        nested = [nested] * 10  # 10^15 values if each name were a copy of its own
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(nested))
    read = load_arrays(tmp_path / "a.pkl")
    assert read[0] is read[9]
