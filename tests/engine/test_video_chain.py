"""The chain outside the workflow has the files of the rules, and runs a step again only if its record is outdated."""

import json
import re
from pathlib import Path

import pytest

from childgait.engine.flags import find_function, flags_of
from childgait.engine.source_files import ROOT
from childgait.engine.video_chain import CHAIN, ChainStep, Job, linked, prepare

RULES = "\n".join((ROOT / f"workflow/rules/{name}.smk").read_text() for name in ("register", "deidentify", "perceive"))


@pytest.mark.parametrize("step", CHAIN, ids=lambda step: step.name)
def test_a_step_has_the_files_of_its_rule(step: ChainStep) -> None:
    block = re.split(r"^rule ", RULES, flags=re.MULTILINE)
    text = next(part for part in block if part.startswith(f"{step.name}:"))
    inputs = dict(re.findall(r'(\w+)=(?:if_video\()?"(data/[^"]+)"', text.split("output:")[0]))
    outputs = {
        name: f"data/{step.name}/{{video}}{ending}"
        for name, ending in re.findall(r'"?(\w+)"?(?:=|: )"(\.[\w.]+)"', text.split("output:")[1].split("log:")[0])
    }
    outputs.pop("record")
    assert (step.inputs, step.outputs) == (inputs, outputs)
    assert set(step.annotations) == set(re.findall(r'annotation_for\("(\w+)"\)', text))


@pytest.mark.parametrize("step", CHAIN, ids=lambda step: step.name)
def test_a_step_gets_every_file_that_it_takes(step: ChainStep) -> None:
    found = find_function(step.name)
    assert found is not None
    flags = flags_of(found[0])
    raw = {"video", "poses"} if step.name in ("register", "deidentify") else set()
    given = step.inputs.keys() | step.outputs.keys() | set(step.annotations) | raw
    assert given == {flag.name for flag in flags if flag.kind in ("input", "output")}


def test_a_folder_of_links_that_another_process_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both processes of `prepare_all` use one folder: the first one removes it once it is empty."""
    monkeypatch.chdir(tmp_path)
    make, calls = Path.symlink_to, []

    def after_removal(link: Path, target: Path) -> None:
        if not calls:
            link.parent.rmdir()
        calls.append(link)
        make(link, target)

    monkeypatch.setattr(Path, "symlink_to", after_removal)
    with linked(job(tmp_path, tmp_path / "a.mp4")) as one:
        assert one.video.readlink() == tmp_path / "a.mp4"
    assert len(calls) == 2
    assert not (tmp_path / ".recordings").exists()


def job(folder: Path, video: Path, child: str = "0001") -> Job:
    return Job(f"{child}-0001_left_1-240", video, None, "wholebody133", folder, ROOT / "params.yaml")


def test_a_step_that_stops_ends_the_chain_with_its_sentence(tmp_path: Path) -> None:
    video = tmp_path / "broken.mp4"
    video.write_bytes(b"no video")
    messages: list[str] = []
    done = prepare(job(tmp_path, video), messages.append)
    assert done.ran == ()
    assert done.stopped_at == "register"
    assert done.problem is not None
    assert "0001-0001_left_1-240.mp4" in done.problem, "named by number: the video's own name may be a person's"
    assert "broken" not in done.problem
    assert not (tmp_path / ".recordings").exists()
    assert messages
    assert messages[0].startswith("0001-0001_left_1-240: register stopped: ")


def test_a_current_record_is_reused_and_an_outdated_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from childgait.engine import video_chain

    video = tmp_path / "video.mp4"
    write_short_video(video, 12)
    monkeypatch.setattr(video_chain, "CHAIN", CHAIN[:1])
    assert prepare(job(tmp_path, video)).ran == ("register",)
    facts, record = (tmp_path / f"data/register/0001-0001_left_1-240{ending}" for ending in (".json", ".record.json"))
    assert json.loads(record.read_text())["outputs"]["facts"][0]["path"] == "data/register/0001-0001_left_1-240.json"
    assert prepare(job(tmp_path, video)).ran == ()
    facts.write_text("{}")
    assert prepare(job(tmp_path, video)).ran == ("register",)
    facts.unlink()
    assert prepare(job(tmp_path, video)).ran == ("register",)
    write_short_video(video, 14)
    assert prepare(job(tmp_path, video)).ran == ("register",)
    assert json.loads(facts.read_text())["frames"] == 14


def write_short_video(path: Path, frames: int) -> None:
    from fractions import Fraction

    import numpy as np

    from childgait.files.video import write_video

    pixels = [np.full((64, 96, 3), 10 * n, np.uint8) for n in range(frames)]
    write_video(path, pixels, [Fraction(n, 60) for n in range(frames)])
