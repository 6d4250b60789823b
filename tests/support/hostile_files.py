"""Malformed files of every kind (the table of findings), each with its reader and what must become of it."""

from __future__ import annotations

import json
import os
import socket
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from childgait.files.corrections import read_corrections
from childgait.files.labels import read_children, read_sheets
from childgait.files.recordings import list_recordings
from childgait.files.regions import read_regions
from childgait.files.selections import read_selections
from childgait.files.split_list import read_split_list
from childgait.files.submission import COLUMNS as SUBMISSION
from childgait.files.submission import read_submission
from childgait.files.tombstones import tombstones
from childgait.files.video import probe, write_video
from childgait.gait.delivered_keypoints import frame_record, inspect_delivered, read_delivered
from childgait.lineage.versions import outs_of
from childgait.params import load_params
from childgait.steps.deidentify import read_layout
from childgait.steps.register import check_raw_path

ROOT = Path(__file__).parents[2]
NAME = "0001-0001_left_1-12"


@dataclass(frozen=True)
class Try:
    """One malformed input: `make` writes it below a folder and returns the call that reads it."""

    group: str
    title: str
    make: Callable[[Path], Callable[[], object]]
    message: str  # part of the one sentence that is expected


def video(path: Path, frames: int = 6) -> Path:
    pixels = [np.full((32, 48, 3), 20 * index % 250, np.uint8) for index in range(frames)]
    write_video(path, pixels, [Fraction(index, 60) for index in range(frames)])
    return path


def frame(index: int = 0, info: object = None, **changes: object) -> dict[str, object]:
    told = {"width": 48, "height": 32, "fps": 60, "total_frames": 3} if info is None else info
    return frame_record(index, [(np.full((17, 2), 9.0), np.full(17, 0.9))], None) | {"video_info": told} | changes


def written(name: str, content: str | bytes, read: Callable[[Path], object]) -> Callable[[Path], Callable[[], object]]:
    """Make a try that writes one file."""

    def make(folder: Path) -> Callable[[], object]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return lambda: read(path)

    return make


def posed(record: object) -> Callable[[Path], Callable[[], object]]:
    """Make a try of three frames of keypoints, the second of which is `record` (an object, or text)."""

    def make(folder: Path) -> Callable[[], object]:
        poses = folder / "poses"
        poses.mkdir()
        for index in range(3):
            (poses / f"frame_{index + 1:06d}.json").write_text(json.dumps(frame(index)))
        text = record if isinstance(record, str) else json.dumps(record)
        (poses / "frame_000002.json").write_text(text)
        return lambda: read_delivered(poses, "coco17")

    return make


def zipped(change: Callable[[zipfile.ZipFile], None], spoil: Callable[[bytes], bytes] = lambda b: b):
    def make(folder: Path) -> Callable[[], object]:
        path = folder / "poses.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x/frame_000001.json", json.dumps(frame()))
            change(archive)
        path.write_bytes(spoil(path.read_bytes()))
        return lambda: inspect_delivered(path, "coco17")

    return make


def bomb(archive: zipfile.ZipFile) -> None:
    """Write one entry of 4 GB of blanks, some MB on disk."""
    archive.compresslevel = 1  # twice as fast as the default, on blanks
    with archive.open("x/frame_000002.json", "w", force_zip64=True) as stream:
        block = b" " * (16 << 20)
        for _ in range(256):
            stream.write(block)


def many(archive: zipfile.ZipFile) -> None:
    for number in range(100_001):
        archive.writestr(f"x/frame_{number:07d}.json", b"{}", compress_type=zipfile.ZIP_STORED)


def special(kind: str, name: str, read: Callable[[Path], object]) -> Callable[[Path], Callable[[], object]]:
    """Make a try of a FIFO, a socket, a link to a device, or a link out of the folder."""

    def make(folder: Path) -> Callable[[], object]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            here = Path.cwd()
            os.chdir(path.parent)  # the address of a socket is at most 107 bytes
            try:
                socket.socket(socket.AF_UNIX).bind(path.name)
            finally:
                os.chdir(here)
        else:
            path.symlink_to(kind)
        return lambda: read(path)

    return make


def params(old: str, new: str) -> Callable[[Path], Callable[[], object]]:
    text = (ROOT / "params.yaml").read_text()
    assert old in text, old
    return written("params.yaml", text.replace(old, new, 1), load_params)


def key(section: str, name: str, value: str) -> Callable[[Path], Callable[[], object]]:
    """Make a try that replaces the value of one key of params.yaml."""
    lines = (ROOT / "params.yaml").read_text().splitlines()
    start = lines.index(next(line for line in lines if line.startswith(f"{section}:")))
    at = next(n for n in range(start + 1, len(lines)) if lines[n].strip().startswith(f"{name}:"))
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    return written(
        "params.yaml", "\n".join([*lines[:at], f"{indent}{name}: {value}", *lines[at + 1 :]]) + "\n", load_params
    )


def sheet(**changes: object) -> str:
    return json.dumps([{"patient_id": "0001", "left": {"1": 0}, "right": {"1": 0}, **changes}])


def scores(path: Path) -> object:
    return read_sheets(path, highest=2)


def regions(path: Path) -> object:
    return read_regions(path, NAME, 12)


def selections(path: Path) -> object:
    return read_selections(path, NAME, 12, (32, 48))


def corrections(path: Path) -> object:
    return read_corrections(path, NAME, 12)


def raw(path: Path) -> object:
    return list_recordings(path.parents[2])


def frames_of(path: Path) -> object:
    return inspect_delivered(path.parent, "coco17")


def deep(text: str) -> str:
    return text * 100_000


def tries() -> Iterator[Try]:
    yield from _videos()
    yield from _poses()
    yield from _tables()
    yield from _params()
    for number, name in enumerate(("0002$(touch PWNED)", "0004|id", "-rf", "{x}", "0001\nid", "Anna_Mueller", "٠٠٠١")):
        make = written(f"dataset/{name}/{NAME}.mp4", b"", raw)
        yield Try("names", f"folder of a child: {name!r} ({number})", make, "is no number of a child")
    make = written(f"dataset/Anna_Mueller/{NAME}.mp4", b"", lambda path: check_raw_path(path, NAME))
    yield Try("names", "register of a folder that is a name", make, "is no number of a child")


def _videos() -> Iterator[Try]:
    mkv = b"\x1aE\xdf\xa3" + b"\0" * 40
    for title, content, message in (
        ("ffconcat naming a neighbour", b"ffconcat version 1.0\nfile other.mp4\n", "cannot be opened as a video"),
        ("HLS playlist", b"#EXTM3U\n#EXTINF:1,\nother.ts\n", "cannot be opened as a video"),
        ("SDP", b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", "cannot be opened as a video"),
        ("PNG", b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "cannot be opened as a video"),
        ("MPEG transport stream", b"G" + b"\0" * 187, "cannot be opened as a video"),
        ("Matroska of zeros", mkv, "cannot be opened as a video"),
        ("mp4 of its first box alone", b"\0\0\0\x20ftypisom" + b"\0" * 20, "video"),
        ("empty", b"", "it is empty"),
    ):
        yield Try("video", title, written("v.mp4", content, probe), message)
    yield Try("video", "a FIFO", special("fifo", "v.mp4", probe), "is a FIFO")
    yield Try("video", "a socket", special("socket", "v.mp4", probe), "is a socket")
    yield Try("video", "a device", special("/dev/zero", "v.mp4", probe), "is a device")
    link = special("/etc/passwd", f"dataset/0001/{NAME}.mp4", raw)
    yield Try("video", "a link out of the cohort", link, "is a link out of the cohort")
    digits = f"dataset/0001/0001-0001_left_1-{'9' * 200}.mp4"
    yield Try("video", "name with 200 digits", written(digits, b"", raw), "is not of the form")
    arabic = written("dataset/0001/0001-0001_left_1-٩٠.mp4", b"", raw)
    yield Try("video", "name with Arabic digits", arabic, "is not of the form")


def _poses() -> Iterator[Try]:
    good = json.dumps(frame(1))
    person = "a person's keypoints and keypoint_scores cannot be read"
    for title, record, message in (
        ("point of strings", good.replace("9.0", '"9"', 1), person),
        ("point of booleans", good.replace("9.0", "true", 1), person),
        ("point of 400 digits", good.replace("9.0", "9" * 400, 1), "is not JSON"),
        ("point of 1e300", good.replace("9.0", "1e300", 1), person),
        ("score a string", good.replace("0.9", '"0.9"', 1), person),
        ("nested 100,000 deep", deep("["), "nested too deeply"),
        ("instance_info nested 100,000 deep", '{"instance_info": ' + deep("["), "nested too deeply"),
        ("a key twice", '{"instance_info": [], "instance_info": []}', "stands twice"),
        ("frame_index negative", frame(-5), "frame_index is -5"),
        ("frame_index 10**9", frame(10**9), "frame_index is"),
        ("frame_index 10**18", frame(10**18), "frame_index is"),
        ("frame_index 10**30", good.replace('"frame_index": 1', '"frame_index": 1' + "0" * 30), "is not JSON"),
        ("frame_index far behind the others", frame(10**7), "declares"),
        ("fps Infinity", good.replace('"fps": 60', '"fps": Infinity'), "video_info.fps is inf"),
        ("fps 1e308", frame(1, {"fps": 1e308}), "video_info.fps is"),
        ("fps 1e-300", frame(1, {"fps": 1e-300}), "video_info.fps is"),
        ("fps true", frame(1, {"fps": True}), "video_info.fps is True"),
        ("width Infinity", good.replace('"width": 48', '"width": Infinity'), "video_info.width is inf"),
        ("width 10**400", good.replace('"width": 48', '"width": 1' + "0" * 400), "is not JSON"),
        ("total_frames 10**12", frame(1, {"total_frames": 10**12}), "video_info.total_frames is"),
        ("1,000 people", frame(1, None, instance_info=[{}] * 1000), "contains 1,000 people"),
        ("half a character", '{"instance_info": [], "a": "\\ud800"}', "is not JSON"),
    ):
        yield Try("poses", title, posed(record), message)

    def total(folder: Path) -> Callable[[], object]:
        poses = folder / "poses"
        poses.mkdir()
        told = {"fps": 60, "total_frames": 10**8}
        (poses / "frame_000001.json").write_text(json.dumps(frame(0, told)))
        return lambda: read_delivered(poses, "coco17")

    yield Try("poses", "total_frames 10**8", total, "declares 100,000,000 frames")
    yield Try("poses", "a FIFO as frame", special("fifo", "p/frame_000013.json", frames_of), "is a FIFO")
    yield Try(
        "poses", "/dev/zero as frame", special("/dev/zero", "d/0/p/frame_000013.json", frames_of), "is a link out"
    )
    yield Try("poses", "/etc/passwd as frame", special("/etc/passwd", "d/0/p/f_1.json", frames_of), "is a link out")
    yield Try("poses", "zip: 4 GB of blanks", zipped(bomb), "unpacks to 4,096 MB")
    yield Try("poses", "zip: 100,001 frames", zipped(many), "contains 100,002 frames")

    def flag(content: bytes) -> bytes:  # bit 0 of the general purpose flags: encrypted
        at = content.index(b"PK\x01\x02") + 8
        return b"PK\x03\x04\x14\x00\x01" + content[7:at] + b"\x01" + content[at + 1 :]

    def method(content: bytes) -> bytes:
        at = content.index(b"PK\x01\x02") + 10
        return content[:8] + b"\x63" + content[9:at] + b"\x63" + content[at + 1 :]

    def damage(content: bytes) -> bytes:
        return content[:60] + b"\xff" * 20 + content[80:]

    for title, spoil, message in (
        ("encrypted flag", flag, "is encrypted"),
        ("unknown compression 99", method, "unknown method"),
        ("damaged deflate stream", damage, "is damaged"),
        ("cut in half", lambda content: content[: len(content) // 2], "is not a whole zip file"),
    ):
        yield Try("poses", f"zip: {title}", zipped(lambda archive: None, spoil), message)
    facts = written("facts.json", '{"a"', lambda path: read_layout(path, path))
    yield Try("poses", "register's facts cut short", facts, "is not JSON")
    facts = written("facts.json", "{}", lambda path: read_layout(path, path))
    yield Try("poses", "register's facts without pose_layout", facts, "lacks pose_layout")


def _tables() -> Iterator[Try]:
    for title, text, message in (
        ("Total NaN", sheet(left={"Total": float("nan")}), "is not JSON"),
        ("Total Infinity", sheet(left={"Total": float("inf")}), "is not JSON"),
        ("Total 10**20", sheet(left={"Total": 10**20}), "Total is"),
        ("item named ²", sheet(left={"²": 1}), "is no item"),
        ("item of 5,000 digits", sheet(left={"1" * 5000: 1}), "is no item"),
        ("left a list", sheet(left=[0, 0]), "left is [0, 0]"),
        ("left a string", sheet(left="healthy"), "left is 'healthy'"),
        ("left a number", sheet(left=5), "left is 5"),
        ("Left in capitals", sheet(Left={"1": 0}), "has the key 'Left'"),
        ("rater an object", sheet(rater={}), "rater is {}"),
        ("a key twice", '[{"patient_id": "1", "left": {"1": 0, "1": 2}}]', "stands twice"),
        ("left twice", '[{"patient_id": "1", "left": {}, "left": {}}]', "stands twice"),
        ("nested 100,000 deep", deep("["), "nested too deeply"),
    ):
        yield Try("labels", title, written("labels.json", text, scores), message)
    head = "patient_id,age,sex\n"
    for title, text, message in (
        ("age 8,5 bare", f"{head}0001,8,5,female\n", "line 2: has more or fewer values"),
        ("age 1_0", f"{head}0001,1_0,female\n", "age is '1_0'"),
        ("age ٨", f"{head}0001,٨,female\n", "age is"),
        ("age 1e-320", f"{head}0001,1e-320,female\n", "age is '1e-320'"),
        ("column age twice", "patient_id,age,age,sex\n0001,8,9,female\n", "has the column 'age' twice"),
        ("age and age_years", "patient_id,age,age_years,sex\n0001,8,15,female\n", "has the column 'age' twice"),
        ("open quotation mark", f'{head}0001,8,"female\n0002,9,male\n', "open quotation mark"),
        ("a field of 200 kB", f"{head}0001,8,{'x' * 200_000}\n", "cannot be read as CSV"),
    ):
        yield Try("subjects", title, written("subjects.csv", text, read_children), message)
    head = "video,region,frame,x0,y0,x1,y1,reason\n"
    row = f"{NAME},a,,1,1,2,2,"
    for title, text, message in (
        (
            "an open quotation mark",
            f'{head}{row}"open\n{row}\n',
            "line 2: cannot be read as CSV (an open quotation mark)",
        ),
        ("a newline in a field", f'{head}{row}"a\nb"\n', "open quotation mark"),
        ("column video twice", f"video,{head}{NAME},{row}\n", "has the column 'video' twice"),
        ("a field of 200 kB", f"{head}{row}{'x' * 200_000}\n", "cannot be read as CSV"),
        ("a zero byte", f"{head}{row}\0\n", "contains a zero byte"),
        ("an edge of 40 digits", f"{head}{NAME},a,,1,1,{'9' * 40},2,\n", "is beyond"),
        ("an edge that is infinite", f"{head}{NAME},a,,1,1,inf,2,\n", "is beyond"),
    ):
        yield Try("annotations", title, written("regions.csv", text, regions), message)
    for title, read, text in (
        ("a frame 1_0", regions, f"{head}{NAME},a,1_0,1,1,2,2,\n"),
        ("an edge ٨", regions, f"{head}{NAME},a,1,1,1,٨,2,\n"),
        ("a selection at 1_0", selections, f"video,frame,x0,y0,x1,y1\n{NAME},3,1_0,1,,\n"),
        ("a selection in frame ٣", selections, f"video,frame,x0,y0,x1,y1\n{NAME},٣,1,1,,\n"),
        ("a correction of frame 1_0", corrections, f"video,frame,joint,x,y,reason\n{NAME},1_0,left_knee,1,1,x\n"),
        ("a correction at ٨", corrections, f"video,frame,joint,x,y,reason\n{NAME},1,left_knee,٨,1,x\n"),
    ):
        yield Try("annotations", title, written("table.csv", text, read), "numbers")
    for text in ('""', "[]", "{}", "2", "null"):
        stone = written("erased.jsonl", f'{{"subject": {text}}}\n', lambda path: tombstones(path.parent))
        yield Try("tombstones", f"subject {text}", stone, "a line without subject")
    split = written("split.csv", "subject,part\n²,test\n", read_split_list)
    yield Try("annotations", "split: subject ²", split, "is not a number")
    first = ",".join(SUBMISSION) + "\n"
    rest = "," + "0," * 34 + "0,-1,-1\n"
    for title, text, message in (
        ("header only", first, "contains no child"),
        ("ID track1-١", f"{first}track1-١{rest}", "the ID is"),
        ("ID of 5,000 digits", f"{first}track1-{'9' * 5000}{rest}", "the ID is"),
    ):
        yield Try("submission", title, written("s.csv", text, read_submission), message)
    for title, text in (("a text", "x"), ("nested 100,000 deep", deep("[")), ("a list of outs", "outs: [1]")):
        make = written("x.dvc", text, lambda path: outs_of("x.dvc", path.read_text()))
        yield Try("audit", f"x.dvc is {title}", make, "is no file of DVC")


def _params() -> Iterator[Try]:
    laughs = "&a [x]" + "".join(f", &{b} [*{a}, *{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    for title, make, message in (
        ("key twice", params("  folds:", "  folds: 2\n  folds:"), "stands twice"),
        ("billion laughs in a value", key("cohort", "exclude", f"[{laughs}]"), "an alias"),
        ("seed_noise .inf", key("segment", "seed_noise", ".inf"), "must be a finite number"),
        ("keep_score above birth_score", key("deidentify", "keep_score", "1.0"), "keep_score must be at most"),
        ("seeds [-1]", key("finetune", "seeds", "[-1]"), "must be at least 0"),
        ("seeds [10**40]", key("finetune", "seeds", f"[{10**40}]"), "too many digits"),
        ("models twice", key("finetune", "models", "[gru, gru]"), "each entry is expected once"),
        ("age_edges [11, 7]", key("evaluate", "age_edges", "[11, 7]"), "increasing ages"),
        ("age_edges [.nan]", key("evaluate", "age_edges", "[.nan]"), "must be a finite number"),
        ("exclude of no recording", key("cohort", "exclude", "{a b: why}"), "names of recordings are expected"),
        ("root with a command", key("cohort", "root", "data/$(id)"), "a path without blanks is expected"),
        ("annotations with an option", key("cohort", "annotations", '"-rf"'), "a path without blanks is expected"),
        ("nested 100,000 deep", key("cohort", "exclude", deep("[")), "nested more than"),
        ("date out of range", key("finetune", "weights", "2020-99-99"), "cannot be read"),
        ("Latin-1", written("params.yaml", b"# M\xfcller\n", load_params), "is not text in UTF-8"),
        ("UTF-16", written("params.yaml", "cohort: {}".encode("utf-16"), load_params), "is not text in UTF-8"),
    ):
        yield Try("params", title, make, message)
