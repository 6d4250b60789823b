"""Collects a multimodal language model's answers on de-identified videos as a table for `childgait judge`.

    childgait zero-shot replies/ --out answers.csv                       # replays recorded replies, one JSON per video
    childgait zero-shot replies/ --out answers.csv --endpoint http://127.0.0.1:8000/v1 --model NAME
    childgait zero-shot replies/ --out pairs.jsonl --pairs               # instruction pairs of the training children

Only videos that deidentify has written and verified are read. Nothing is sent unless --endpoint is given, and then to
this machine alone. Replies are recorded in the folder and not requested again; a refusal is a row, too.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

if TYPE_CHECKING:
    import polars as pl

WIDTH = 448  # pixels of a frame that is sent
QUALITY = 85  # of its JPEG


def zero_shot(
    replies: Path,
    out: Path | None = None,
    endpoint: str | None = None,
    model: str = "recorded",
    fold: str = "holdout",
    pairs: bool = False,
    videos: Path = Path("data/deidentify"),
    parts: Path = Path("data/split_subjects"),
) -> None:
    """Write the answers on the test videos of a fold, or with --pairs the instruction pairs of its training videos."""
    from childgait.files.atomic import write_text
    from childgait.files.local_endpoint import loopback_of
    from childgait.files.split import read_part

    if endpoint is not None:
        loopback_of(endpoint)  # before a video is opened
    part = read_part(parts / f"{fold}.{'train' if pairs else 'test'}.parquet")
    target = out or Path("pairs.jsonl" if pairs else "answers.csv")
    if pairs:
        write_text(target, "".join(_pair(row, videos) for row in part.iter_rows(named=True)))
        print(f"{target}: {part.height} instruction pairs of training videos of {fold}")
        return
    write_text(target, _answers_table(part, replies, videos, endpoint, model))
    print(f"written: {target}; now `childgait judge {target} --source NAME`")


def _answers_table(part: pl.DataFrame, replies: Path, videos: Path, endpoint: str | None, model: str) -> str:
    """Collect the reply on every video and return the table of all answers as CSV."""
    from childgait.files.vlm_protocol import build_prompt, parse_reply, recorded_reply, targets_of_view

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["visit", "target", "answer", "split_hash"])
    cells = refused = 0
    for video, view, split in part.select("video", "view", "split_hash").iter_rows():
        prompt, targets = build_prompt(view), targets_of_view(view)
        reply = recorded_reply(replies, video, prompt)
        if reply is None and endpoint is not None:
            reply = _request(videos / f"{video}.mp4", prompt, replies, endpoint, model)
        if reply is None:
            raise StepError(
                f"{replies} has no reply on {video}", hint="record one, or give --endpoint and --model of a local model"
            )
        parsed = parse_reply(reply, targets)
        if parsed.reason:
            print(f"{video}: refused, {parsed.reason}")
        cells, refused = cells + len(targets), refused + parsed.refused
        writer.writerows([video, name, answer, split] for name, answer in parsed.answers.items())
    print(f"{part.height} videos, {cells} cells, {refused} refused")
    return stream.getvalue()


def _request(path: Path, prompt: str, replies: Path, endpoint: str, model: str) -> str:
    """Send a video's even frames and the prompt to the local model, and record the reply."""
    from childgait.files.local_endpoint import request_reply
    from childgait.files.vlm_protocol import record_reply

    reply = request_reply(endpoint, model, prompt, _pictures(path))
    record_reply(replies, path.stem, model, prompt, reply)
    return reply


def _pictures(path: Path) -> list[bytes]:
    """Return 16 even frames of a de-identified video as JPEG; fail for a video that deidentify did not verify."""
    import cv2

    from childgait.files.video import read_frames
    from childgait.files.vlm_protocol import even_frames

    numbers = even_frames(_verified_frames(path))
    encoded = {}
    for frame in read_frames(path):
        if frame.index in numbers:
            pixels = frame.pixels
            scale = min(1.0, WIDTH / max(pixels.shape[:2]))
            size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
            small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
            _, content = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            encoded[frame.index] = content.tobytes()
    return [encoded[number] for number in numbers]


def _verified_frames(path: Path) -> int:
    """Return the number of frames of a de-identified video, whose evidence must lie beside it and be of its pixels."""
    from childgait.files.video import decoded_sha256
    from childgait.user_files import read_facts

    evidence = path.with_suffix(".evidence.json")
    if not path.is_file() or not evidence.is_file():
        raise StepError(f"{path} is no de-identified video", hint="give --videos data/deidentify of a finished study")
    facts = read_facts(evidence, "verdict", "frames", "decoded_sha256")
    if facts["verdict"] not in ("covered", "cleared") or facts["decoded_sha256"] != decoded_sha256(path):
        raise StepError(
            f"{evidence} does not confirm that {path.name} is covered (verdict {facts['verdict']})",
            hint="run deidentify again; a held video needs a person's row in cleared.csv",
        )
    return int(str(facts["frames"]))


def _pair(row: dict[str, object], videos: Path) -> str:
    """Return one line of instruction pairs: video, numbers of its frames, prompt and the labels as the reply."""
    from childgait.domain.evgs import VIEWS
    from childgait.files.vlm_protocol import CANNOT_TELL, build_prompt, even_frames, targets_of_view

    path = videos / f"{row['video']}.mp4"
    view = next(view for view in VIEWS if view == row["view"])
    scores = {name: row[name] for name in targets_of_view(view)}
    reply = {name: CANNOT_TELL if score is None else int(int(str(score)) > 0) for name, score in scores.items()}
    messages = [{"role": "user", "content": build_prompt(view)}, {"role": "assistant", "content": json.dumps(reply)}]
    line = {"video": str(path), "frames": even_frames(_verified_frames(path)), "messages": messages}
    return json.dumps(line, ensure_ascii=False) + "\n"
