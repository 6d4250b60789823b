"""The search after an erasure: names, bytes, hashes, tables."""

import hashlib
import io
import os
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import polars as pl
import pytest

from childgait.lineage import search
from childgait.lineage.search import files_under, find_traces


def zipped(name: str, text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0007-0001_left_1-240.json", b"{}"),
        ("draw_sheets/0007.heads.jpg", b"x"),
        (f".snakemake/incomplete/{urlsafe_b64encode(b'data/register/0007-0001_left_1-240.json').decode()}", b"{}"),
        ("ab/cdef0123", b'{"path": "data/register/0007-0002_forward_1-9.json"}'),
        ("log", b"read data/raw/dataset/0007/a.mp4"),
        ("subjects.csv", b"patient_id,age\n7,8\n"),
        ("labels.json", b'[{"patient_id": 7}]'),
        ("labels.json.bak", b'[{"patient_id": 7}]'),
        ("subjects.csv~", b"patient_id;age\n7;8\n"),
        ("subjects.csv", b'subject,x\n0001,"open\n0007,8\n'),
        ("subjects.csv", b"subject,x\n0007,1\n0001," + b"x" * 200_000),
        ("book.xlsx", zipped("xl/sharedStrings.xml", "<t>0007-0001_left_1-240</t>")),
        ("poses", zipped("0007-0001_left_1-240/frame_000001.json", "{}")),
        ("moved", b"the child's own bytes"),
        ("note", b"sha256 " + hashlib.sha256(b"the child's own bytes").hexdigest().encode()),
        ("names", b"c0ffee" + hashlib.sha256(b"the child's own bytes").hexdigest().encode() + b"\n"),
    ],
)
def test_a_trace_is_found(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    hashes = {hashlib.sha256(b"the child's own bytes").hexdigest()}
    assert list(find_traces("0007", hashes, files_under(tmp_path))) == [path]


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
    assert find_traces("0007", set(), files_under(tmp_path)) == {}


def test_a_packed_table_is_asked(tmp_path):
    pl.DataFrame({"video": ["0007-0001_left_1-240", "0001-0001_left_1-240"] * 50}).write_parquet(tmp_path / "object")
    pl.DataFrame({"video": ["0001-0001_left_1-240"], "frames": [7]}).write_parquet(tmp_path / "other")
    assert list(find_traces("0007", set(), files_under(tmp_path))) == [tmp_path / "object"]


def test_a_long_search_reports_how_far_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PROGRESS_SECONDS", 0.0)
    paths = [tmp_path / str(number) for number in range(3)]
    with caplog.at_level("INFO"):
        assert list(search.with_progress(paths, "searching")) == paths
    assert "searching: 2 of 3 files" in caplog.text


def test_links_and_what_is_no_file(tmp_path):
    """A link has a name, whatever it leads to; a FIFO is not opened."""
    names = [f"0007-000{n}_left_1-9.mp4" for n in range(2)]
    (tmp_path / names[0]).symlink_to(tmp_path / "gone")
    (tmp_path / names[1]).symlink_to(tmp_path / "below")
    (tmp_path / "below").mkdir()
    os.mkfifo(tmp_path / "below" / "pipe")
    assert sorted(find_traces("0007", set(), files_under(tmp_path))) == [tmp_path / name for name in names]
