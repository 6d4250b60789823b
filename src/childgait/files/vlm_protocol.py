"""The zero-shot protocol for multimodal language models: prompt, strict parser of replies, and recorded replies.

One request per recording: 16 even frames and a prompt on the items that its view shows, for both limbs. A reply is one
JSON object with exactly the requested targets; anything else counts as a refusal of all of them. Replies are recorded
per recording, so that a run can be replayed without a model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from childgait.domain.evgs import BY_CODE, TARGETS, View, default_views
from childgait.errors import StepError
from childgait.files.external_answers import REFUSED
from childgait.files.hashes import sha256_of_text

FRAMES = 16
CANNOT_TELL = "cannot tell"
LONGEST_REPLY = 100_000  # characters


@dataclass(frozen=True)
class Reply:
    """Answers by target, 0, 1 or refused, and the reason where the whole reply was refused."""

    answers: dict[str, str]
    reason: str | None = None

    @property
    def refused(self) -> int:
        return sum(answer == REFUSED for answer in self.answers.values())


def even_frames(count: int, wanted: int = FRAMES) -> list[int]:
    """Return `wanted` evenly spaced frame numbers of a video with `count` frames; fewer frames are repeated."""
    if count < 1:
        raise StepError("a video without frames has nothing to show", hint="run deidentify again")
    return [round(number * (count - 1) / (wanted - 1)) for number in range(wanted)]


def targets_of_view(view: View) -> list[str]:
    """List the targets that a view shows, of both limbs."""
    views = default_views()
    return [target.name for target in TARGETS if view in views[target.code]]


def build_prompt(view: View) -> str:
    """Return the prompt on one recording: the task, the items with their typical bands, and the form of the reply."""
    shown = targets_of_view(view)
    lines = [
        f"The {FRAMES} pictures are evenly spaced frames, in order, of one video of a walking child.",
        f"The camera records the view '{view}': left or right is the side of the child that faces the camera; forward",
        "means that the child walks towards it. Faces are covered on purpose. Left and right are the child's own.",
        "",
        "Rate these items of the Edinburgh Visual Gait Score, each for the left (L.) and the right (R.) leg:",
    ]
    for code in dict.fromkeys(name[2:] for name in shown):
        item = BY_CODE[code]
        band = "" if item.bands is None else f"; typical from {_degrees(item.bands.zero_low)} to"
        band += "" if item.bands is None else f" {_degrees(item.bands.zero_high)}, counted {item.positive}"
        lines.append(f"- {code}: {item.name}, in {item.phase}{band}")
    lines += [
        "",
        f'Write 0 for typical, 1 for atypical, or "{CANNOT_TELL}" where the pictures do not show it.',
        "Reply with one JSON object and nothing else, with exactly these keys:",
        json.dumps(dict.fromkeys(shown, 0)),
    ]
    return "\n".join(lines)


def _degrees(bound: float) -> str:
    return f"{bound:.1f} degrees"


def parse_reply(text: str, targets: list[str]) -> Reply:
    """Parse a reply; all targets are refused unless it is one JSON object with exactly these keys and valid values."""
    body = text[:LONGEST_REPLY].strip()
    if body.startswith("```json\n") and body.endswith("\n```"):
        body = body.removeprefix("```json\n").removesuffix("\n```")
    try:
        pairs = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return _refusal(targets, "the reply is no JSON object")
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return _refusal(targets, "the reply is no JSON object")
    if sorted(key for key, _ in pairs) != sorted(targets):
        return _refusal(targets, "the keys are not exactly the requested ones")
    answers = {}
    for key, value in pairs:
        if value == CANNOT_TELL:
            answers[key] = REFUSED
        elif type(value) is int and value in (0, 1):
            answers[key] = str(value)
        else:
            return _refusal(targets, f"the value of {key} is neither 0, 1 nor {CANNOT_TELL}")
    return Reply(answers)


def _refusal(targets: list[str], reason: str) -> Reply:
    return Reply(dict.fromkeys(targets, REFUSED), reason)


# --- recorded replies


def record_reply(folder: Path, video: str, model: str, prompt: str, reply: str) -> None:
    """Write a reply as it came, with the hash of its prompt, to `{video}.json`."""
    from childgait.files.atomic import write_json

    folder.mkdir(parents=True, exist_ok=True)
    content = {"video": video, "model": model, "prompt_sha256": sha256_of_text(prompt), "reply": reply}
    write_json(folder / f"{video}.json", content)


def recorded_reply(folder: Path, video: str, prompt: str) -> str | None:
    """Read the recorded reply on a recording; None where there is none. Fail if it was made with another prompt."""
    from childgait.user_files import read_json

    path = folder / f"{video}.json"
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("reply"), str):
        raise StepError(f"{path} contains no reply", hint="its keys are video, model, prompt_sha256 and reply")
    if content.get("video") != video or content.get("prompt_sha256") != sha256_of_text(prompt):
        raise StepError(
            f"{path} was recorded with another prompt or of another video",
            hint="remove the folder of recorded replies and collect them again",
        )
    return str(content["reply"])
