"""The zero-shot protocol: a strict parser, replay, refusals as rows, and an endpoint on this machine alone."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from childgait.commands.zero_shot import zero_shot
from childgait.errors import StepError
from childgait.files.external_answers import read_external_table
from childgait.files.local_endpoint import loopback_of, request_reply
from childgait.files.video import decoded_sha256, from_rgb, write_video
from childgait.files.vlm_protocol import build_prompt, even_frames, parse_reply, targets_of_view
from support.report_study import Made, write_study

TARGETS = ["L.IC", "R.IC"]
SHORT = '{"L.IC": 0, "R.IC": 1}'


class Rule(BaseHTTPRequestHandler):
    """A model by rule: everything typical if there are 16 pictures; a redirect for the model `elsewhere`."""

    requests: list[dict[str, Any]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        if body["model"] == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/v1/chat/completions")
            self.end_headers()
            return
        content = body["messages"][0]["content"]
        keys = json.loads(content[-1]["text"].splitlines()[-1])
        pictures = [part for part in content if part["type"] == "image_url"]
        text = json.dumps(keys) if len(pictures) == 16 else "no"
        answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Rule)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study whose test and training videos of one child are there, with evidence."""
    made = write_study(tmp_path_factory.mktemp("study") / "data")
    folder = made.folder / "deidentify"
    folder.mkdir()
    names = pl.read_parquet(made.folder / "split_subjects/holdout.test.parquet")["video"].to_list()
    for video in [*names, *pl.read_parquet(made.folder / "split_subjects/holdout.train.parquet")["video"].to_list()]:
        write_evidence(folder, video)
    return made


def write_evidence(folder: Path, video: str, verdict: str = "covered") -> None:
    path = folder / f"{video}.mp4"
    planes = [from_rgb(np.full((32, 48, 3), 5 * n, np.uint8)) for n in range(20)]
    times = [Fraction(n, 30) for n in range(20)]
    write_video(path, planes, times)
    evidence = {"verdict": verdict, "frames": 20, "decoded_sha256": decoded_sha256(path)}
    path.with_suffix(".evidence.json").write_text(json.dumps(evidence))


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (SHORT, ["0", "1"]),
        (f"```json\n{SHORT}\n```", ["0", "1"]),
        ('{"L.IC": "cannot tell", "R.IC": 1}', ["refused", "1"]),
        (f"Sure! {SHORT}", ["refused"] * 2),
        ('{"L.IC": 0}', ["refused"] * 2),
        ('{"L.IC": 0, "L.IC": 1, "R.IC": 1}', ["refused"] * 2),
        ('{"L.IC": 0, "R.IC": 1, "R.HL": 1}', ["refused"] * 2),
        ('{"L.IC": 0.5, "R.IC": 1}', ["refused"] * 2),
        ('{"L.IC": true, "R.IC": 1}', ["refused"] * 2),
        ('[["L.IC", 0], ["R.IC", 1]]', ["refused"] * 2),
        ("[" * 5000, ["refused"] * 2),
        ("", ["refused"] * 2),
    ],
)
def test_a_reply_is_read_strictly(text: str, answers: list[str]) -> None:
    assert list(parse_reply(text, TARGETS).answers.values()) == answers


def test_the_prompt_names_the_items_of_the_view_and_no_child() -> None:
    prompt = build_prompt("left")
    assert set(json.loads(prompt.splitlines()[-1])) == set(targets_of_view("left"))
    assert "L.KFX" in prompt
    assert "L.POB" not in prompt
    assert not re.search(r"[0-9]{4}", prompt)
    assert even_frames(31) == list(range(0, 31, 2))
    assert len(even_frames(3)) == 16


@pytest.mark.parametrize(
    "address",
    [
        "https://api.example.org/v1",
        "http://192.0.2.1/v1",
        "http://127.0.0.1.example.org/v1",
        "http://127.0.0.1@example.org/v1",
        "http://user@127.0.0.1/v1",
        "http://example.org#127.0.0.1",
        "file:///etc/passwd",
        "http://[bad",
    ],
)
def test_another_host_is_refused(address: str) -> None:
    with pytest.raises(StepError, match="is not on this machine"):
        loopback_of(address)


def test_a_redirect_and_a_proxy_are_not_followed(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    assert json.loads(request_reply(endpoint, "rule", build_prompt("left"), [b"x"] * 16, timeout=5))
    with pytest.raises(StepError, match="status 302"):
        request_reply(endpoint, "elsewhere", "prompt", [b"x"], timeout=5)


def test_a_local_model_is_recorded_and_replayed(study: Made, endpoint: str, tmp_path: Path) -> None:
    folders: dict[str, Any] = {"videos": study.folder / "deidentify", "parts": study.folder / "split_subjects"}
    replies, table = tmp_path / "replies", tmp_path / "answers.csv"
    with pytest.raises(StepError, match="has no reply on"):
        zero_shot(replies, table, **folders)
    zero_shot(replies, table, endpoint, "rule", **folders)
    first, sent = table.read_bytes(), len(Rule.requests)
    zero_shot(replies, table, **folders)
    assert table.read_bytes() == first
    assert len(Rule.requests) == sent
    answers = read_external_table(table, "rule")
    assert set(answers.probability.values()) == {0.0}
    changed = next(replies.iterdir())
    changed.write_text(json.dumps(json.loads(changed.read_text()) | {"reply": "I cannot help with that."}))
    zero_shot(replies, table, **folders)
    assert "refused" in table.read_text()
    changed.write_text(json.dumps(json.loads(changed.read_text()) | {"prompt_sha256": "0" * 64}))
    with pytest.raises(StepError, match="another prompt"):
        zero_shot(replies, table, **folders)


def test_a_video_that_is_not_verified_is_not_sent(study: Made, endpoint: str, tmp_path: Path) -> None:
    parts = study.folder / "split_subjects"
    with pytest.raises(StepError, match="is no de-identified video"):
        zero_shot(tmp_path / "r", tmp_path / "a.csv", endpoint, "rule", videos=tmp_path, parts=parts)
    for video in pl.read_parquet(parts / "holdout.test.parquet")["video"].to_list()[:1]:
        write_evidence(tmp_path, video, verdict="held")
    with pytest.raises(StepError, match="does not confirm"):
        zero_shot(tmp_path / "r", tmp_path / "a.csv", endpoint, "rule", videos=tmp_path, parts=parts)


def test_instruction_pairs_are_of_training_children_and_can_be_parsed(study: Made, tmp_path: Path) -> None:
    parts, pairs = study.folder / "split_subjects", tmp_path / "pairs.jsonl"
    zero_shot(tmp_path, pairs, pairs=True, videos=study.folder / "deidentify", parts=parts)
    lines = [json.loads(line) for line in pairs.read_text().splitlines()]
    test = set(pl.read_parquet(parts / "holdout.test.parquet")["video"])
    assert lines
    assert not test & {Path(line["video"]).stem for line in lines}
    for line in lines[:2]:
        view = Path(line["video"]).stem.split("_")[1]
        assert parse_reply(line["messages"][1]["content"], targets_of_view(view)).reason is None
        assert len(line["frames"]) == 16
