"""Two runs side by side: each difference, and what it can have done to a number."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from childgait.errors import StepError
from childgait.lineage.differences import compare, graph_of, metrics_of
from support import toy_study

DVC = (sys.executable, "-m", "dvc")
NUMBER = "reports/metrics.json"


@pytest.fixture(autouse=True)
def _study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy_study.run_toy_study(["0001", "0002", "0007"], seed=1)


def keep(name: str) -> None:
    for folder in ("data", "reports"):
        shutil.copytree(folder, Path(name) / folder)


def comparison(a: str = "a", b: str = ".") -> str:
    return "\n".join(compare(graph_of(a), graph_of(b), NUMBER, (a, b)))


def test_nothing_differs():
    keep("a")
    text = comparison()
    assert "the same bytes" in text
    assert "no job differs" in text


def test_a_param_on_the_way_could_have_moved_it():
    keep("a")
    toy_study.run_toy_study(["0001", "0002", "0007"], seed=2)
    before, after = comparison().split("could have changed it:")
    assert "the same bytes" not in before.replace("wrote the same bytes", "")
    assert "params split_subjects.seed: 1 → 2" in after.split("\n\n")[0]
    assert "more job(s) differ only by their inputs" in after


def test_a_raw_video_on_the_way_could_have_moved_it():
    keep("a")
    Path("data/raw/dataset/0007/0007-0001_left_1-240.mp4").write_bytes(b"another")
    toy_study.run_toy_study(cohort=False)
    assert "raw file data/raw/dataset/0007/0007-0001_left_1-240.mp4" in comparison().split("could have changed it:")[1]


def test_a_child_more_is_said():
    keep("a")
    toy_study.run_toy_study(["0001", "0002", "0007", "0008"], seed=1)
    assert "only in B  (2 jobs)" in comparison()


def test_code_that_changed_no_byte_is_told_apart():
    keep("a")
    for path in Path("data/register").glob("*.record.json"):
        body = json.loads(path.read_text())
        body["code"]["tests/support/toy_study.py"] = "other"
        path.write_text(json.dumps(body))
    text = comparison()
    assert "could have changed it" not in text
    assert "code tests/support/toy_study.py  (6 jobs)" in text.split("wrote the same bytes:")[1]


def test_what_is_not_on_the_way_is_told_apart():
    keep("a")
    path = Path("reports/write_report.record.json")
    body = json.loads(path.read_text())
    body["outputs"] = {"figure": [{"path": "reports/other.png", "sha256": "1", "bytes": 1}]}
    Path("reports/other.record.json").write_text(json.dumps(body))
    assert "only in B" in comparison().split("is not upstream of it:")[1]


def test_other_bytes_from_the_same_things_are_named():
    keep("a")
    path = Path("data/finetune/toy/0-0/finetune.record.json")
    body = json.loads(path.read_text())
    body["outputs"]["weights"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(body))
    assert "data/finetune/toy/0-0/finetune.record.json" in comparison().split("OTHER BYTES WITHOUT ANY DIFFERENCE")[1]


@pytest.mark.parametrize("frames", ["the same", "others"])
def test_videos_are_compared_by_their_frames(frames):
    """Other bytes of a video with the same evidence, which holds the hash of its decoded frames, are no difference."""
    video, evidence = (f"data/deidentify/0007-0001_left_1-240.{ending}" for ending in ("mp4", "evidence.json"))
    body = json.loads(Path("data/register/0007-0001_left_1-240.record.json").read_text())
    record = Path("data/deidentify/0007-0001_left_1-240.record.json")
    record.parent.mkdir()
    for name, digest, frame_digest in (("a", "1", "3"), (".", "2", "3" if frames == "the same" else "4")):
        body["outputs"] = {
            "covered": [{"path": video, "sha256": digest, "bytes": 1}],
            "evidence": [{"path": evidence, "sha256": frame_digest, "bytes": 1}],
        }
        record.write_text(json.dumps(body))
        if name == "a":
            keep("a")
    text = comparison()
    assert ("1 video(s) have other bytes, but the same decoded frames" in text) is (frames == "the same")
    assert ("OTHER BYTES WITHOUT ANY DIFFERENCE" in text) is (frames == "others")


def commit(message: str) -> None:
    for command in (
        [
            *DVC,
            "add",
            "-q",
            "data/prepare_clips",
            "data/split_subjects",
            "data/register",
            "data/gate",
            "data/finetune",
            "data/evaluate",
            "reports",
        ],
        ["git", "add", "-A"],
        ["git", "commit", "-q", "-m", message],
    ):
        subprocess.run(command, check=True, capture_output=True)


def test_two_commits_through_dvcs_cache(monkeypatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    for command in (["git", "init", "-q"], [*DVC, "init", "-q"]):
        subprocess.run(command, check=True, capture_output=True)
    commit("first")
    first = json.loads(Path(NUMBER).read_text())
    toy_study.run_toy_study(seed=2)
    commit("second")
    shutil.rmtree("data")  # the answer comes from the cache alone
    assert "params split_subjects.seed: 1 → 2" in comparison("HEAD~1", "HEAD").split("could have changed it:")[1]
    assert [metrics_of(name) for name in ("HEAD~1", "HEAD")] == [first, json.loads(Path(NUMBER).read_text())]
    shutil.rmtree(".dvc/cache")
    with pytest.raises(StepError, match="the cache has no listing of"):
        comparison("HEAD~1", "HEAD")


def test_a_name_that_is_neither():
    with pytest.raises(StepError, match="git"):
        graph_of("nowhere")
