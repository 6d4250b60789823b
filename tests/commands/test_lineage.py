"""`childgait lineage`: what is asked, what is answered, and the sentence where it cannot be."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.commands.lineage import lineage
from childgait.engine.run_step import run_command_line
from childgait.errors import StepError
from childgait.lineage.show import find_metric
from support import toy_study


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy_study.run_toy_study(["0001", "0002", "0007"], seed=1)


def query(capsys, *argv: str) -> str:
    run_command_line(lineage, list(argv), recorded=False)
    return capsys.readouterr().out


def test_a_number_by_its_name(capsys):
    text = query(capsys, "--metric", "accuracy.L.IC")
    assert text.startswith("accuracy.L.IC = 0.")
    assert "6 videos, of 3 children" in text
    assert '{"split_subjects": {' in text


def test_every_raw_video_stands_with_its_hash(capsys):
    import hashlib

    text = query(capsys, "reports/metrics.json")
    for video in Path("data/raw").rglob("*.mp4"):
        assert hashlib.sha256(video.read_bytes()).hexdigest() in text


def test_a_child(capsys):
    text = query(capsys, "--subject", "0002")
    assert "reports/figure.png" in text
    assert "weights.bin" not in text


def test_a_raw_file_is_followed_forward(capsys):
    assert "reports/figure.png" in query(capsys, "data/raw/dataset/0007/0007-0001_left_1-240.mp4")


def test_two_folders(capsys):
    assert "no job differs" in query(capsys, "--diff", ".", ".")


def test_two_folders_and_one_number(capsys):
    for folder in ("data", "reports"):
        shutil.copytree(folder, Path("other") / folder)
    Path("other/reports/metrics.json").write_text('{"accuracy": {"L": {"IC": 0.125}}}')
    value = json.loads(Path("reports/metrics.json").read_text())["accuracy"]["L"]["IC"]
    text = query(capsys, "--diff", "other", ".", "--metric", "L.IC")
    assert text.startswith(f"accuracy.L.IC: 0.125 → {value}\nA = other, B = .")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no file, number or child is given"),
        (["reports/none.png"], r"no record names reports/none\.png"),
        (["--metric", "accuracy.L.ID"], r"no number is called accuracy\.L\.ID.*accuracy\.L\.IC"),
        (["--subject", "0099"], "no record names a child 0099.*0001, 0002, 0007"),
        (["--subject", "7"], "'7' is not a child's number.*0007"),
        (["--subject", "07"], "'07' is not a child's number"),
        (["--diff", "a"], "--diff got 1"),
        (["--diff", ".", ".", "--metric", "accuracy.L.ID"], r"no number is called accuracy\.L\.ID"),
        (["--diff", ".", "data", "--metric", "accuracy.L.IC"], r"data has no reports/metrics\.json"),
        (["--diff", ".", ".", "--subject", "0007"], "--diff compares one number"),
        (["reports/metrics.json", "reports/figure.png", "--diff", ".", "."], "--diff compares one number"),
    ],
)
def test_what_cannot_be_answered_is_said(argv, message):
    with pytest.raises(StepError, match=message):
        run_command_line(lineage, argv, recorded=False)


def test_a_metric_by_the_end_of_its_name():
    metrics = {"a": {"L": {"IC": 1}, "R": {"IC": 2}}, "list": [3, 4]}
    assert find_metric(metrics, "L.IC") == ("a.L.IC", 1)
    assert find_metric(metrics, "list.1") == ("list.1", 4)
    with pytest.raises(StepError, match="2 numbers are called …IC"):
        find_metric(metrics, "IC")


def test_the_answer_needs_no_heavy_import():
    code = (
        "import sys; from childgait.commands.lineage import lineage; from pathlib import Path;"
        "lineage([Path('reports/metrics.json')]);"
        "print([m for m in ('polars', 'numpy', 'torch', 'pydantic', 'dvc', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
