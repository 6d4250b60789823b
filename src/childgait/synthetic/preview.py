"""Pictures of a synthetic cohort for a person to look at: a contact sheet and a short annotated clip.

Reads a written cohort and its truth; writes `{root}/preview/contact.png` and `{root}/preview/clip.mp4`. The clip shows
the child with its exact keypoints, outline and head box, and beside it the knee and ankle curves: the generator's
target (line) and the values from the 2D keypoints (dots).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import BONES, INDEX, bone_side
from childgait.synthetic.recording import Recording, VideoFile
from childgait.synthetic.truth import Truth, load_truth

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
SIDES = {"left": (60, 120, 255), "right": (255, 90, 60), "middle": (80, 200, 80)}


def planar_angles(points: Array, limb: str, direction: float) -> dict[str, Array]:
    """Return knee flexion, ankle dorsiflexion and foot pitch of a limb from 2D points (T, 23, 2) in a side view.

    `direction` is +1 where the child walks to the picture's right.
    """
    joints = ("hip", "knee", "ankle", "heel", "big_toe")
    hip, knee, ankle, heel, toe = (points[:, INDEX[f"{limb}_{name}"]] for name in joints)

    def lean(top: Array, bottom: Array) -> Array:
        """Return a segment's angle from the vertical, positive with the lower end forward."""
        along = bottom - top
        return np.asarray(np.degrees(np.arctan2(direction * along[:, 0], along[:, 1])))

    thigh, shank = lean(hip, knee), lean(knee, ankle)
    sole = toe - heel
    pitch = np.degrees(np.arctan2(-sole[:, 1], direction * sole[:, 0]))
    return {"thigh": thigh, "knee": thigh - shank, "foot_pitch": pitch, "ankle": pitch - shank}


def _frames(path: Path, wanted: set[int]) -> dict[int, Image]:
    with av.open(str(path)) as container:
        return {i: f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i in wanted}


def annotate(picture: Image, truth: Truth, index: int) -> Image:
    """Draw outline, bones in the colour of their side, and head boxes."""
    picture = picture.copy()
    outline, _ = cv2.findContours(truth.mask(index).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outline, -1, (255, 230, 0), 1)
    places = np.rint(truth.points[index]).astype(int)
    for bone in BONES:
        a, b = (tuple(int(v) for v in places[INDEX[name]]) for name in bone)
        cv2.line(picture, a, b, SIDES[bone_side(bone)], 1, cv2.LINE_AA)
    for boxes in truth.heads.values():
        if np.isfinite(boxes[index]).all():
            x0, y0, x1, y1 = (int(v) for v in boxes[index])
            cv2.rectangle(picture, (x0, y0), (x1, y1), (255, 0, 255), 1)
    return picture


def write_contact_sheet(path: Path, root: Path, recordings: Sequence[Recording], children: int = 6) -> None:
    """Write one row per recording of the first children: four frames, one of them annotated."""
    subjects = sorted({entry["subject"] for entry in recordings})[:children]
    rows = []
    for entry in recordings:
        if entry["subject"] not in subjects or entry["session"] != "0001":
            continue
        truth = load_truth(root / "truth" / f"{entry['name']}.npz")
        moments = [int(v) for v in np.linspace(0.1, 0.9, 4) * (entry["frames"] - 1)]
        frames = _frames(root / entry["video"], set(moments))
        pictures = [frames[i] for i in moments]
        pictures[1] = annotate(pictures[1], truth, moments[1])
        size = (320, round(320 * truth.height / truth.width))
        pictures = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
        row = np.hstack(pictures)
        patterns = ", ".join(f"{limb} {v['pattern']} {v['strength']:.2f}" for limb, v in truth.pattern.items())
        header = np.full((20, row.shape[1], 3), 255, np.uint8)
        text = f"{entry['name']}   {patterns}"
        cv2.putText(header, text, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [header, row]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def _plot(panel: Image, asked: Array, found: Array, index: int, title: str, top: int, size: tuple[int, int]) -> None:
    """Plot one curve up to the current frame: target as a line, recovered values as dots."""
    width, height = size
    low, high = float(min(asked.min(), found.min())) - 5, float(max(asked.max(), found.max())) + 5
    x = np.linspace(10, width - 10, len(asked))

    def y(values: Array) -> Array:
        return np.asarray(top + height - (values - low) / (high - low) * (height - 20))

    line = np.rint(np.stack([x, y(asked)], axis=-1)).astype(np.int32)
    cv2.polylines(panel, [line], False, (60, 60, 60), 1, cv2.LINE_AA)
    for place, value in zip(x[: index + 1], y(found)[: index + 1], strict=True):
        cv2.circle(panel, (round(float(place)), round(float(value))), 1, (220, 60, 40), -1)
    cv2.putText(panel, title, (10, top + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)


def write_clip(path: Path, root: Path, entry: Recording) -> None:
    """Write a side view with annotations and the near limb's curves, at a quarter of its speed."""
    truth = load_truth(root / "truth" / f"{entry['name']}.npz")
    limb = entry["view"]
    measured = planar_angles(truth.points, limb, -1.0 if limb == "left" else 1.0)
    rate = Fraction(entry["rate"]) / 4
    count = min(entry["frames"], 120)
    frames = _frames(root / entry["video"], set(range(count)))
    panel_width, height = 320, truth.height
    with VideoFile(path, rate, truth.width + panel_width, height, 18) as video:
        for index in range(count):
            panel = np.full((height, panel_width, 3), 245, np.uint8)
            for row, name in enumerate(("knee", "ankle", "foot_pitch")):
                commanded = truth.angles[f"{limb}.{name}"][:count]
                size = (panel_width, height // 3)
                _plot(
                    panel,
                    commanded,
                    measured[name][:count],
                    index,
                    f"{limb} {name}, degrees",
                    row * (height // 3),
                    size,
                )
            for event in truth.events:
                if abs(event["seconds"] - truth.seconds[index]) < 0.05:
                    cv2.putText(
                        panel,
                        f"{event['limb']} {event['kind']}",
                        (150, 14),
                        cv2.FONT_HERSHEY_SIMPLEX,
                        0.45,
                        SIDES[event["limb"]],
                        1,
                        cv2.LINE_AA,
                    )
            picture = np.hstack([annotate(frames[index], truth, index), panel])
            video.add(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420))


def write_preview(root: Path, recordings: Sequence[Recording]) -> None:
    folder = root / "preview"
    folder.mkdir()
    write_contact_sheet(folder / "contact.png", root, recordings)
    sides = [entry for entry in recordings if entry["view"] in ("left", "right")]
    if sides:
        write_clip(folder / "clip.mp4", root, sides[0])
