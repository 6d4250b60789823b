"""Writes are whole or not there: under SIGKILL, a full disk, a read-only one, too little memory, two at once."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from childgait.engine.flags import Input, Output
from childgait.engine.run_step import run_step
from childgait.errors import StepError
from childgait.files import atomic
from childgait.files.atomic import PARTIAL, atomic_outputs, partial_name, write_json, write_text

TESTS = Path(__file__).parent
STEP = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_atomic import {function}
from childgait.errors import StepError
from childgait.engine.run_step import run_step
{before}
try:
    run_step({function}, {{"source": Path("in.txt"), "first": Path("out/first.bin"), "second": Path("out/second.txt")}},
             None, Path("out/both.record.json"))
except StepError as error:
    sys.exit(str(error))
"""


def slow_write(source: Input, first: Output, second: Output) -> None:
    """Two files in many small writes, as an encoder does."""
    text = source.read_text()
    with first.open("wb") as one, second.open("w") as two:
        for number in range(60):
            one.write(text.encode() * 50)
            two.write(f"{number} {text}\n")
            one.flush()
            time.sleep(0.0005)


def hungry(source: Input, first: Output, second: Output) -> None:
    first.write_text("half")
    [bytearray(1 << 20) for _ in range(100_000)]


def script(before: str = "", function: str = "slow_write") -> list[str]:
    return [sys.executable, "-c", STEP.format(tests=str(TESTS), before=before, function=function)]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("content ")


def leftovers() -> list[str]:
    return [p.name for p in Path().rglob(f"{PARTIAL}*")]


def test_killed_at_any_moment_a_file_is_whole_or_not_there():
    subprocess.run(script(), check=True)
    wanted = {p.name: p.read_bytes() for p in Path("out").iterdir()}
    assert set(wanted) == {"first.bin", "second.txt", "both.record.json"}
    shutil.rmtree("out")
    chance = random.Random(4)
    partials = 0
    for _ in range(25):
        process = subprocess.Popen(script())
        started = time.monotonic()
        while not Path("out").exists() and time.monotonic() - started < 20:  # imports are not what is tested
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
        partials += bool(leftovers())
        for path in Path("out").glob("[!.]*"):
            assert path.read_bytes() == wanted[path.name], path
        if Path("out/both.record.json").exists():  # the record comes last
            assert {p.name for p in Path("out").glob("[!.]*")} == set(wanted)
            shutil.rmtree("out")
    assert partials >= 5  # some were hit while writing
    subprocess.run(script(), check=True)
    assert {p.name: p.read_bytes() for p in Path("out").iterdir()} == wanted  # and nothing is left of the dead


def test_two_at_once_leave_one_whole_result():
    for _ in range(2):
        both = [subprocess.Popen(script()) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        assert json.loads(Path("out/both.record.json").read_text())["outputs"]["first"][0]["bytes"] == 60 * 50 * 8
        assert Path("out/first.bin").read_bytes() == b"content " * 3000
        assert leftovers() == []


def fails_with(before: str, function: str = "slow_write") -> str:
    write_text(Path("out/first.bin"), "the old one")
    done = subprocess.run(script(before, function), capture_output=True, text=True)
    assert done.returncode == 1, done
    assert Path("out/first.bin").read_text() == "the old one"
    assert not Path("out/second.txt").exists()
    assert leftovers() == []
    return done.stderr


def test_a_limit_on_file_size_keeps_the_old_file():
    message = fails_with("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))")
    assert "the system refused a file operation" in message
    assert "no partial output was kept" in message
    assert "Traceback" not in message


def test_too_little_memory_is_one_sentence():
    before = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))"
    message = fails_with(before, "hungry")
    assert "hungry ran out of memory" in message
    assert "Traceback" not in message


def can_mount() -> bool:
    probe = ["unshare", "--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this system lets no one make a file system of one's own (unshare --mount)")
@pytest.mark.parametrize(
    ("options", "sentence"), [("size=16k", "No space left on device"), ("ro", "Read-only file system")]
)
def test_a_real_full_or_read_only_disk(options, sentence):
    Path("out").mkdir()
    Path("run.py").write_text(script()[2])
    command = f"mount -t tmpfs -o {options} none out && {sys.executable} run.py; code=$?; ls -A out; exit $code"
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", command], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""  # nothing was left on it


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "free disk space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permissions so that you can read and write"),
    ],
)
def test_what_a_disk_says_no_to_is_a_sentence_with_a_hint(code, hint):
    def refused(source: Input, target: Output) -> None:
        target.write_text("half")
        raise OSError(code, os.strerror(code), str(target))

    with pytest.raises(StepError, match=hint):
        run_step(refused, {"source": Path("in.txt"), "target": Path("t.txt")}, None, None)
    assert sorted(p.name for p in Path().iterdir()) == ["in.txt"]


def test_a_failed_step_keeps_every_old_output():
    write_text(Path("a"), "old a")
    with pytest.raises(ZeroDivisionError), atomic_outputs([Path("a"), Path("b")]) as partial:  # noqa: PT012
        partial[Path("a")].write_text("new")
        1 / 0  # noqa: B018
    assert Path("a").read_text() == "old a"
    assert not Path("b").exists()
    assert leftovers() == []


@pytest.mark.parametrize(
    ("host", "pid", "started", "stays"),
    [
        (None, os.getpid(), None, True),  # a living process of this machine
        (None, os.getpid(), "1", False),  # its number, but an earlier process: numbers come again
        (None, 999_999_999, "1", False),
        ("elsewhere", os.getpid(), None, False),
    ],
    ids=["living", "number used again", "gone", "another machine's"],  # no process numbers: workers must agree on names
)
def test_whose_leftovers_are_removed(host, pid, started, stays):
    mine = partial_name(Path("x.mp4")).name.removeprefix(PARTIAL).split("-")
    other = Path(f"{PARTIAL}{host or mine[0]}-{pid}-{started or mine[2]}-x.mp4")
    other.write_text("half")
    unrelated = Path(f"{PARTIAL}h-1-1-y-x.mp4")
    unrelated.write_text("another target's")
    atomic.remove_stale_partials(Path("x.mp4"))
    assert other.exists() == stays
    assert unrelated.exists()


def test_a_folder_replaces_a_folder():
    write_text(Path("d/old"), "1")
    with atomic_outputs([Path("d")]) as partial:
        write_text(partial[Path("d")] / "new", "2")
        assert Path("d/old").exists()
    assert [p.name for p in Path("d").iterdir()] == ["new"]
    assert leftovers() == []


def test_a_folder_is_kept_when_the_step_fails():
    write_text(Path("d/old"), "1")
    with pytest.raises(ZeroDivisionError), atomic_outputs([Path("d")]) as partial:  # noqa: PT012
        write_text(partial[Path("d")] / "new", "2")
        1 / 0  # noqa: B018
    assert [p.name for p in Path("d").iterdir()] == ["old"]
    assert leftovers() == []


def test_a_clock_that_jumps_changes_no_record(monkeypatch):
    def copy(source: Input, target: Output) -> None:
        target.write_text(source.read_text())

    records = []
    for now in (4e9, 0.0, 1e9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        run_step(copy, {"source": Path("in.txt"), "target": Path("t.txt")}, None, Path("t.record.json"))
        records.append(Path("t.record.json").read_bytes())
    assert records[0] == records[1] == records[2]
    assert all(json.loads(line)["seconds"] >= 0 for line in Path("logs/runs.jsonl").read_text().splitlines())


def test_json_has_one_form():
    write_json(Path("a.json"), {"b": 1.5, "a": "ä"})
    assert Path("a.json").read_text() == '{\n  "a": "ä",\n  "b": 1.5\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(Path("b.json"), {"x": float("nan")})
    assert not Path("b.json").exists()
