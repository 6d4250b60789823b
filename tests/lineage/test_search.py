"""The search after an erasure: names, bytes, hashes, tables, pixels."""

import hashlib

import av
import cv2
import numpy as np
import polars as pl
import pytest

from childgait.lineage.search import find_pixels, find_traces, hashes_of


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0007-0001_left_1-240.json", b"{}"),
        ("review/0007.heads.jpg", b"x"),
        ("ab/cdef0123", b'{"path": "data/register/0007-0002_forward_1-9.json"}'),
        ("log", b"read data/raw/dataset/0007/a.mp4"),
        ("subjects.csv", b"patient_id,age\n7,8\n"),
        ("labels.json", b'[{"patient_id": 7}]'),
        ("moved", b"the child's own bytes"),
        ("note", b"sha256 " + hashlib.sha256(b"the child's own bytes").hexdigest().encode()),
    ],
)
def test_a_trace_is_found(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    hashes = {hashlib.sha256(b"the child's own bytes").hexdigest()}
    assert list(find_traces("0007", hashes, [tmp_path])) == [path]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1.json", b'{"x": 0.0007, "y": "a0007b", "frames": 7}'),
        ("10007-0001_left_1-240.json", b"{}"),
        ("0070-0007_left_1-240.json", b'{"video": "0070-0007_left_1-240"}'),
        ("a.csv", b"subject,age\n0001,7\n"),
    ],
)
def test_what_is_no_trace_is_not(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert find_traces("0007", set(), [tmp_path]) == {}


def test_a_packed_table_is_asked(tmp_path):
    pl.DataFrame({"video": ["0007-0001_left_1-240", "0001-0001_left_1-240"] * 50}).write_parquet(tmp_path / "object")
    pl.DataFrame({"video": ["0001-0001_left_1-240"], "frames": [7]}).write_parquet(tmp_path / "other")
    assert list(find_traces("0007", set(), [tmp_path])) == [tmp_path / "object"]


def picture(seed: int) -> np.ndarray:
    """Smooth blobs, as a room and a person are; no two seeds alike."""
    noise = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(noise, (320, 180), interpolation=cv2.INTER_CUBIC)


def write_video(path, frames) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def test_pixels_are_found_however_they_are_kept(tmp_path):
    raw = tmp_path / "raw.mp4"
    write_video(raw, [picture(1)] * 12)
    known = hashes_of([raw])
    kept = tmp_path / "kept"
    kept.mkdir()
    small = cv2.resize(picture(1), (160, 90), interpolation=cv2.INTER_AREA)
    write_video(kept / "smaller.mp4", [small] * 12)
    (kept / "smaller.mp4").rename(kept / "object-without-ending")
    np.save(kept / "frames.npy", np.stack([picture(2), small.repeat(2, 0).repeat(2, 1)] * 6)[1:])
    cv2.imwrite(str(kept / "sheet.jpg"), picture(1)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    cv2.imwrite(str(kept / "darker.png"), (picture(1) * 0.7).astype(np.uint8)[:, :, ::-1])
    write_video(kept / "another.mp4", [picture(3)] * 12)
    cv2.imwrite(str(kept / "another.jpg"), picture(4)[:, :, ::-1])
    (kept / "text.txt").write_text("no picture")
    found = {path.name for path in find_pixels(known, [kept])}
    assert found == {"object-without-ending", "frames.npy", "sheet.jpg", "darker.png"}
