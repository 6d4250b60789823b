"""Run BlazePose GHUM on crops around people: 23 keypoints, depth and a person mask per box; and detect people.

The weights are part of the package (src/childgait/weights/blazepose/, Apache-2.0; envs/convert_blazepose.py made
them). The landmark network draws the most prominent person of its square, so whose square it is must be decided by the
caller: `look_at_boxes` takes boxes, and `detect_people` only proposes some.

Frames are RGB, uint8, (height, width, 3). Boxes are x0, y0, x1, y1 in pixels with exclusive ends; points are pixels
with (0, 0) at the centre of the top left one.

    model = BlazePose()
    look = model.look_at_boxes(frame, np.array([[120.0, 40.0, 200.0, 330.0]]))[0]
    look.points, look.mask(frame.shape[:2])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import LAYOUTS, to_points
from childgait.vision.faces import check_weights, make_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

FOLDER = Path(__file__).resolve().parents[1] / "weights" / "blazepose"
SHA256 = {
    "detector": "5e035699538b28536b75f4619e1607798ca84cf3e0baae8fc1713fd68637b001",
    "full": "6ae426887459df41cd9c392e0fb76ddbad6a118280d6878146fb9f2dd1894772",
    "heavy": "235a11712b474cfedaf3df655497b282ee024fb07128c8d853025fa40afe4225",
}
LAYOUT = LAYOUTS["blazepose33"]
SIDE = 256  # pixels of the landmark network's input
LEAST_PRESENCE = 0.5  # of the landmark network, below which there is nobody
MARGIN = 1.25  # side of the square over the longer side of the box, as the network was trained
HEATMAP = 64  # cells per side
WINDOW = 3  # heat-map cells on either side of a landmark that refine it
DETECTOR_SIDE = 224
DETECTOR_OVERLAP = 0.3  # IoU from which two detections are averaged into one


@dataclass(frozen=True)
class Square:
    """A square of the picture; x, y are its left and top edge in pixels, edges counted as for boxes."""

    x: float
    y: float
    side: float

    def to_picture(self, size: int) -> NDArray[np.float64]:
        """Return the affine map (2, 3) from a crop of `size` pixels per side to the picture, between pixel centres."""
        step = self.side / size
        return np.array([[step, 0, self.x + 0.5 * step - 0.5], [0, step, self.y + 0.5 * step - 0.5]])


@dataclass(frozen=True)
class Look:
    """Result of the landmark network in one square."""

    points: NDArray[np.float32]  # (23, 3): x, y in pixels, score in 0 … 1; NaN and 0 for the small toes
    depth: NDArray[np.float32]  # (23,) pixels behind the middle of the hips; smaller is nearer to the camera
    presence: float  # probability that there is a person, whoever it is
    square: Square
    crop_mask: NDArray[np.float32]  # (256, 256) probability per pixel of the square

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the person's pixels in a picture of (height, width)."""
        spread = cv2.warpAffine(
            self.crop_mask,
            self.square.to_picture(SIDE),
            (size[1], size[0]),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        return np.asarray(spread > 0.5)

    def box(self, least: float = 0.0) -> Floats:
        """Return the box around the points of at least that score and the top of the head; NaN if there are none."""
        known = self.points[(self.points[:, 2] >= least) & np.isfinite(self.points[:, 0])]
        if len(known) < 2:
            return np.full(4, np.nan)
        low, high = known[:, :2].min(axis=0), known[:, :2].max(axis=0) + 1
        return np.array([low[0], low[1] - 0.08 * (high[1] - low[1]), high[0], high[1]], np.float64)


def square_of(box: Sequence[float] | Floats) -> Square:
    """Return the upright square around a box, with the margin that the network expects."""
    x0, y0, x1, y1 = (float(value) for value in box)
    side = MARGIN * max(x1 - x0, y1 - y0, 2.0)
    return Square((x0 + x1 - side) / 2, (y0 + y1 - side) / 2, side)


def cut(frame: Pixels, square: Square, size: int, border: int = cv2.BORDER_REPLICATE) -> Pixels:
    """The square at `size` pixels per side, by exact pixel centres; a square twice as large is averaged first."""
    shrink = int(square.side // size)
    if shrink >= 2:
        left, top = int(np.floor(square.x)), int(np.floor(square.y))
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(frame.shape[1], int(left + square.side + 2)), min(frame.shape[0], int(top + square.side + 2))
        wide, high = (x1 - x0) // shrink, (y1 - y0) // shrink
        if wide > 1 and high > 1:
            part = frame[y0 : y0 + high * shrink, x0 : x0 + wide * shrink]
            frame = np.asarray(cv2.resize(part, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
            square = Square((square.x - x0) / shrink, (square.y - y0) / shrink, square.side / shrink)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(frame, square.to_picture(size), (size, size), flags=flags, borderMode=border))


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -60, 60))), np.float32)


class BlazePose:
    """The detector and a landmark network ("full", or the slower and more exact "heavy") on onnxruntime."""

    def __init__(self, landmarks: Literal["full", "heavy"] = "full") -> None:
        self.landmarks = landmarks
        self._sessions: dict[str, InferenceSession] = {}

    def _run(self, name: str, values: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        if name not in self._sessions:
            path = FOLDER / f"{name}.onnx"
            check_weights(path, SHA256[name], f"SHA256['{name}'] (vision/blazepose.py)")
            self._sessions[name] = make_session(path.read_bytes())
        session = self._sessions[name]
        outputs = [output.name for output in session.get_outputs()]
        return dict(zip(outputs, session.run(outputs, {"input_1": values[None]}), strict=True))

    def look_at_boxes(self, frame: Pixels, boxes: Floats) -> list[Look | None]:
        """Run the landmark network once per box (N, 4); None where the box has NaN or is outside the picture."""
        height, width = frame.shape[:2]
        return [
            self.look(frame, square_of(box))
            if np.isfinite(box).all() and box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0
            else None
            for box in np.asarray(boxes, np.float64).reshape(-1, 4)
        ]

    def look(self, frame: Pixels, square: Square) -> Look:
        """Return landmarks, depth and mask of the person in a square of the picture."""
        crop = cut(frame, square, SIDE)
        out = self._run(self.landmarks, crop.astype(np.float32) / np.float32(255))
        landmarks = out["Identity"].reshape(39, 5)[: LAYOUT.size]
        heat = _sigmoid(out["Identity_3"].reshape(HEATMAP, HEATMAP, 39)[..., : LAYOUT.size])
        xy = refine_by_heatmap(landmarks[:, :2], heat)
        step = square.side / SIDE
        places = (np.array([square.x, square.y]) + step * xy - 0.5).astype(np.float32)
        points = to_points(places, _sigmoid(landmarks[:, 3]), LAYOUT)
        depth = np.full(len(points), np.nan, np.float32)
        for ours, theirs in enumerate(LAYOUT.source):
            if theirs is not None:
                depth[ours] = step * landmarks[theirs, 2]
        mask = _sigmoid(out["Identity_2"].reshape(SIDE, SIDE))
        return Look(points, depth, float(out["Identity_1"].ravel()[0]), square, mask)

    def detect_people(self, frame: Pixels, tiles: Sequence[Square], least: float = 0.5) -> Floats:
        """Return boxes of people (N, 5) with their score, best first; overlapping detections are averaged.

        A box is the square around the circle that the detector draws about a whole body. One tile yields mostly one
        person; several people need several tiles.
        """
        detections = [self._detect(frame, tile, least) for tile in tiles]
        return average_overlapping(np.concatenate([np.zeros((0, 5)), *detections]), DETECTOR_OVERLAP)

    def _detect(self, frame: Pixels, tile: Square, least: float) -> Floats:
        crop = cut(frame, tile, DETECTOR_SIDE, cv2.BORDER_CONSTANT)
        out = self._run("detector", crop.astype(np.float32) / np.float32(127.5) - np.float32(1))
        score = _sigmoid(out["Identity_1"].ravel())
        sure = score >= least
        values = out["Identity"].reshape(-1, 12)[sure].astype(np.float64)
        anchors = ANCHORS[sure] * DETECTOR_SIDE
        hip, top = values[:, 4:6] + anchors, values[:, 6:8] + anchors
        corner = values[:, :2] + anchors - values[:, 2:4] / 2
        boxes = np.column_stack([corner, corner + values[:, 2:4], score[sure], hip, top])
        people = average_overlapping(boxes, DETECTOR_OVERLAP)
        radius = np.linalg.norm(people[:, 7:9] - people[:, 5:7], axis=1)[:, None]
        step = tile.side / DETECTOR_SIDE
        around = np.column_stack([people[:, 5:7] - radius, people[:, 5:7] + radius]) * step
        return np.column_stack([around + [tile.x, tile.y, tile.x, tile.y], people[:, 4]])


def refine_by_heatmap(xy: NDArray[np.float32], heat: NDArray[np.float32]) -> Floats:
    """Move landmarks (N, 2, crop pixels) to the centre of mass of their heat map (64, 64, N) around them."""
    refined = xy.astype(np.float64)
    cells = np.floor(refined / SIDE * HEATMAP).astype(int)
    for n, (column, row) in enumerate(cells):
        if not (0 <= column < HEATMAP and 0 <= row < HEATMAP):
            continue
        x0, y0 = max(0, column - WINDOW), max(0, row - WINDOW)
        part = heat[y0 : row + WINDOW + 1, x0 : column + WINDOW + 1, n].astype(np.float64)
        if part.max(initial=0) >= 0.5:
            total = part.sum()
            across = (part.sum(axis=0) * (x0 + np.arange(part.shape[1]))).sum() / total
            down = (part.sum(axis=1) * (y0 + np.arange(part.shape[0]))).sum() / total
            refined[n] = np.array([across, down]) * SIDE / HEATMAP
    return refined


def make_anchors() -> Floats:
    """The centres (2254, 2) of the detector's anchors, as shares of its input: 2, 2 and 6 per cell of three grids."""
    parts = []
    for cells, repeats in ((28, 2), (14, 2), (7, 6)):
        y, x = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        parts.append(np.repeat(centres, repeats, axis=0))
    return np.concatenate(parts)


ANCHORS = make_anchors()


def average_overlapping(boxes: Floats, overlap: float) -> Floats:
    """Average the rows (N, box + score + any) that overlap the best one: weighted non-maximum suppression."""
    left = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    averaged = []
    while len(left):
        best = left[0]
        size = np.minimum(best[2:4], left[:, 2:4]) - np.maximum(best[:2], left[:, :2])
        both = size.clip(0).prod(axis=1)
        either = (best[2:4] - best[:2]).prod() + (left[:, 2:4] - left[:, :2]).prod(axis=1) - both
        alike = both >= overlap * either
        alike[0] = True
        row = np.average(left[alike], axis=0, weights=left[alike, 4])
        row[4] = best[4]
        averaged.append(row)
        left = left[~alike]
    return np.array(averaged).reshape(-1, boxes.shape[1])


def tiles_of(size: tuple[int, int]) -> list[Square]:
    """Return the whole picture of (height, width) as one tile, and squares of its shorter side that overlap by half."""
    height, width = size
    longer, shorter = max(size), min(size)
    whole = Square((width - longer) / 2, (height - longer) / 2, longer)
    if longer < 1.2 * shorter:
        return [whole]
    count = int(np.ceil((longer - shorter) / (shorter / 2))) + 1
    starts = np.linspace(0, longer - shorter, count)
    across = width >= height
    return [whole, *(Square(start if across else 0, 0 if across else start, shorter) for start in starts.tolist())]
