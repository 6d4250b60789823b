"""Paints windows of outlines at a network's own size: frames and the child's masks, as the study would crop them.

Everything but the walk is drawn anew at every visit: colours, the room, the lens, the order of a mosaic's cells, and
the errors of a segmenter. A frame is painted at twice its size and averaged, as a crop of a video is, so edges are soft
and a mask's pixel is child where half of it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.synthetic.camera import place_camera
from childgait.synthetic.child import Random
from childgait.synthetic.figure import HAIRS, draw_look
from childgait.synthetic.outlines import HEIGHT, PIECES, SHIFT, WIDTH, Outlines
from childgait.synthetic.rating import stream
from childgait.synthetic.scene import SHADOW_BLUR, SHADOW_DEPTH, draw_lens, draw_room, paint_room
from childgait.synthetic.walks import CHILD, PERSON

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Frames = NDArray[np.int64]  # indices of the frames of a window
OVERSAMPLING = 2
ROOMS = 48  # per camera
_ROOM_STREAM = 7  # key of the rooms among a seed's streams of chance
_TUBES = np.array([[110.0, 115, 125], [150.0, 130, 95]])  # a walker, parallel bars
_COVER_CELLS, _COVER_MARGIN = 6, 0.15  # of the mosaic over a head, as in `deidentify`
# Of 255, of the softened coverage; in pixels of 64. With these the masks differ from the exact ones as those of the
# classical backend of `segment` do: IoU .83, area 1.13, recall .96, precision .86 in crops of 64 and of 112 pixels (12
# videos of a synthetic cohort).
_EDGE_LEVEL, _EDGE_NOISE, _EDGE_BLUR = 82, 48, 0.9
_NOISE_TILE = 192  # pixels by which the noise of two frames may be shifted


class Rooms:
    """Pictures of empty rooms by camera, painted at the first use: (H, W, 4) with an empty fourth channel."""

    def __init__(self, seed: int) -> None:
        self._seed, self._pictures = seed, dict[tuple[bool, int, int], Image]()

    def picture(self, side_view: bool, number: int, shrink: int) -> Image:
        """Return room `number`, seen from beside or from the end of the walkway, `shrink` times smaller."""
        key = (side_view, number, shrink)
        if key not in self._pictures:
            rng = stream(self._seed, number, _ROOM_STREAM)
            room, height = draw_room(rng), float(rng.uniform(0.95, 1.6))
            size = (WIDTH // shrink, HEIGHT // shrink)
            painted = paint_room(room, place_camera("left" if side_view else "forward", height, *size, rng))
            self._pictures[key] = np.dstack([painted, np.zeros(painted.shape[:2], np.uint8)])
        return self._pictures[key]


@dataclass(frozen=True)
class MaskErrors:
    """What a segmenter gets wrong in one window."""

    pixels: int = 0  # by which the outline grows; negative: shrinks
    lost: int | None = None  # index of the piece that is missing
    bystander: bool = False  # the other person belongs to the mask
    ragged: bool = False  # the outline is a little wide and uneven


def draw_mask_errors(rate: float, pixels: int, rng: Random) -> MaskErrors:
    """Draw the errors of one window, each with probability `rate`; outlines are always ragged unless it is 0."""
    grown, shrunk, lost, bystander = (rng.random(4) < rate).tolist()
    piece = int(rng.integers(len(PIECES)))
    step = max(1, round(pixels / 64))
    return MaskErrors(step * (int(grown) - int(shrunk)), piece if lost else None, bystander, rate > 0)


def paint_window(
    outlines: Outlines, frames: Frames, pixels: int, rooms: Rooms, mask_error: float, rng: Random
) -> tuple[Image, NDArray[np.bool_]]:
    """Paint the frames of a window: uint8 (T, S, S, 3) and the child's masks bool (T, S, S)."""
    errors = draw_mask_errors(mask_error, pixels, rng)
    side = pixels * OVERSAMPLING
    polygons, painted = _place_polygons(outlines, frames, side)
    shadows = _Shadows(outlines, frames, side)
    colours = _colours(outlines, errors, rng)
    room = rooms.picture(outlines.view in ("left", "right"), int(rng.integers(ROOMS)), max(1, round(240 / pixels)))
    covers = [_Cover(rng.permutation(_COVER_CELLS**2)) for _ in range(outlines.heads.shape[1])]
    canvas = np.empty((side, side, 4), np.uint8)
    result = np.empty((len(frames), pixels, pixels, 4), np.uint8)
    for row, frame in enumerate(frames.tolist()):
        square = outlines.squares[frame].tolist()
        _paint_room(canvas, room, square)
        shadows.cast(canvas, row)
        for place in outlines.order[frame].tolist():
            if painted[row, place]:
                cv2.fillConvexPoly(canvas, polygons[row, place], colours[place], cv2.LINE_8, SHIFT)
        for cover, box in zip(covers, outlines.heads[frame].tolist(), strict=True):
            cover.paint(canvas, box, square)
        _clear_outside(canvas, square)
        cv2.resize(canvas, (pixels, pixels), dst=result[row], interpolation=cv2.INTER_AREA)
    developed = _develop(np.ascontiguousarray(result[..., :3]), outlines, rng)
    return developed, _threshold_masks(np.ascontiguousarray(result[..., 3]), errors, rng)


def place_points(xy: NDArray[np.float32], outlines: Outlines, frames: Frames, pixels: int) -> NDArray[np.float32]:
    """Move (T, 23, 2) positions of the window's frames from the camera's picture to pixels of the crop."""
    corner, side = outlines.squares[frames, None, :2], outlines.squares[frames, None, 2:]
    return ((xy[frames] - corner + 0.5) * (pixels / side) - 0.5).astype(np.float32)


def _place_polygons(outlines: Outlines, frames: Frames, side: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the polygons (T, K, CORNERS, 2) on a canvas of `side` pixels, and which of them (T, K) are on it."""
    unit = 1 << SHIFT
    square = outlines.squares[frames].astype(np.float32)
    scale = side / square[:, 2]
    shift = (0.5 - square[:, :2]) * scale[:, None] * unit - 0.5 * unit
    moved = outlines.polygons[frames].astype(np.float32)
    moved *= scale[:, None, None, None]
    moved += shift[:, None, None]
    fixed = np.rint(moved, out=moved).astype(np.int32)
    low, high = fixed.min(axis=2), fixed.max(axis=2)
    inside = ((high >= -unit) & (low <= side * unit)).all(axis=2)
    return fixed, inside & ~outlines.hidden[frames]


def _palette(rng: Random) -> Array:
    """Draw the colours of the child, of another person and of the walking aids, one row per material."""
    rows = []
    for adult in (False, True):
        look = draw_look(rng, adult=adult)
        hair = np.array(HAIRS[int(rng.integers(len(HAIRS)))], float)
        rows += [look.skin, look.shirt, look.trousers, look.shoe, look.stripe, hair]
    return np.concatenate([np.stack(rows), _TUBES])


def _colours(outlines: Outlines, errors: MaskErrors, rng: Random) -> list[tuple[int, int, int, int]]:
    """Draw the colour of every polygon; the fourth channel is 255 where it belongs to the mask."""
    light = outlines.light * rng.uniform(0.88, 1.12, len(outlines.light))
    colours = np.clip(_palette(rng)[outlines.material] * light[:, None], 0, 255)
    masked = outlines.identity == CHILD
    if errors.lost is not None:
        masked &= outlines.piece != errors.lost
    if errors.bystander:
        masked |= outlines.identity == PERSON
    channels = np.column_stack([colours, np.where(masked, 255, 0)]).astype(int)
    return [(r, g, b, a) for r, g, b, a in channels.tolist()]


def _paint_room(canvas: Image, room: Image, square: list[int]) -> None:
    """Fill the canvas with the square of the empty room; black beyond the picture."""
    left, top, side = square
    shrink = WIDTH / room.shape[1]
    scale = side / canvas.shape[0] / shrink
    move = [0.5 * scale + corner / shrink - 0.5 for corner in (left, top)]
    matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(room, matrix, (canvas.shape[1], canvas.shape[0]), dst=canvas, flags=flags)


class _Shadows:
    """Soft shadows on the floor of one window, drawn at half the canvas' size."""

    def __init__(self, outlines: Outlines, frames: Frames, side: int) -> None:
        size = side // 2
        square = outlines.squares[frames]
        scale = size / square[:, 2]
        lines = (outlines.shadows[frames] - square[:, None, None, None, :2]) * scale[:, None, None, None, None]
        self._lines = np.rint(lines).astype(np.int32)
        self._widths = np.maximum(np.rint(outlines.shadow_width[frames] * scale[:, None]), 1).astype(int).tolist()
        mean = float(scale.mean())
        self._blur = [max(1, round(pixels * mean)) for pixels in SHADOW_BLUR]
        ends = self._lines.reshape(len(frames), -1, 2)
        low, high = ends.min(axis=1) - max(self._blur), ends.max(axis=1) + max(self._blur)
        self._boxes = np.clip(np.concatenate([low, high], axis=1), 0, size).tolist()
        self._lines -= np.array([box[:2] for box in self._boxes], np.int32)[:, None, None, None]

    def cast(self, canvas: Image, row: int) -> None:
        """Darken the floor under everybody in frame `row` of the window."""
        x0, y0, x1, y1 = self._boxes[row]
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        dark = np.full((y1 - y0, x1 - x0), 255, np.uint8)
        for person, width in zip(self._lines[row], self._widths[row], strict=True):
            cv2.polylines(dark, list(person), False, 255 - SHADOW_DEPTH, width)
        dark = cv2.resize(cv2.blur(dark, self._blur), (2 * (x1 - x0), 2 * (y1 - y0)))
        region = canvas[2 * y0 : 2 * y1, 2 * x0 : 2 * x1]
        cv2.multiply(region, cv2.merge([dark] * 4), dst=region, scale=1 / 255)


class _Cover:
    """The mosaic over one head: one texture of shuffled cells for the whole window, as `deidentify` makes it."""

    def __init__(self, cells: NDArray[np.int64]) -> None:
        self._cells = cells
        self._texture: Image | None = None

    def paint(self, canvas: Image, box: list[float], square: list[int]) -> None:
        """Cover the head in its box x0, y0, x1, y1 of the camera's picture; the fourth channel stays."""
        left, top, side = square
        x0, y0, x1, y1 = box
        if not x1 > x0:  # out of view: NaN
            return
        scale, limit, grow = canvas.shape[0] / side, canvas.shape[0], _COVER_MARGIN * max(x1 - x0, y1 - y0)
        c0, c1 = (min(max(round((x - left) * scale), 0), limit) for x in (x0 - grow, x1 + grow))
        r0, r1 = (min(max(round((y - top) * scale), 0), limit) for y in (y0 - grow, y1 + grow))
        if c1 - c0 < _COVER_CELLS or r1 - r0 < _COVER_CELLS:
            return
        region = canvas[r0:r1, c0:c1]
        if self._texture is None:
            means = cv2.resize(region, (_COVER_CELLS, _COVER_CELLS), interpolation=cv2.INTER_AREA)
            self._texture = means.reshape(-1, 4)[self._cells].reshape(means.shape)
        texture = cv2.resize(self._texture, (c1 - c0, r1 - r0), interpolation=cv2.INTER_NEAREST)
        region[..., :3] = texture[..., :3]


def _clear_outside(canvas: Image, square: list[int]) -> None:
    """Make what lies beyond the camera's picture black."""
    left, top, side = square
    scale, size = canvas.shape[0] / side, canvas.shape[0]
    x0, x1 = (min(max(round((x - left) * scale), 0), size) for x in (0, WIDTH))
    y0, y1 = (min(max(round((y - top) * scale), 0), size) for y in (0, HEIGHT))
    canvas[:y0], canvas[y1:], canvas[:, :x0], canvas[:, x1:] = 0, 0, 0, 0


def _threshold_masks(coverage: Image, errors: MaskErrors, rng: Random) -> NDArray[np.bool_]:
    """Turn how much of every pixel is child, 0 to 255, into masks with the drawn errors."""
    masks = _ragged(coverage, rng) if errors.ragged else coverage >= 128
    if errors.pixels == 0:
        return masks
    side = 2 * abs(errors.pixels) + 1
    change = cv2.dilate if errors.pixels > 0 else cv2.erode
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.stack([change(mask.view(np.uint8), kernel) for mask in masks]).view(np.bool_)


def _ragged(coverage: Image, rng: Random) -> NDArray[np.bool_]:
    """Return masks whose edges are a little wide and uneven, another way in every frame."""
    count, pixels = coverage.shape[:2]
    grain = _grain(pixels, pixels / 64, _EDGE_NOISE)
    masks = np.empty(coverage.shape, np.bool_)
    for row, (x, y) in enumerate(rng.integers(0, _NOISE_TILE, (count, 2)).tolist()):
        soft = cv2.GaussianBlur(coverage[row], (0, 0), _EDGE_BLUR * pixels / 64)
        masks[row] = (soft + grain[y : y + pixels, x : x + pixels] >= _EDGE_LEVEL) & (soft > 8)
    return masks


@cache
def _grain(pixels: int, blur: float, spread: float) -> NDArray[np.int16]:
    """Return noise for pictures of a size, with room to cut it at other places; the same in every process."""
    size = pixels + _NOISE_TILE
    noise = np.random.default_rng(size).standard_normal((size, size), dtype=np.float32)
    if blur:
        noise = cv2.GaussianBlur(noise, (0, 0), blur)
    return np.rint(noise * (spread / noise.std())).astype(np.int16)


def _develop(frames: Image, outlines: Outlines, rng: Random) -> Image:
    """Apply a lens: exposure, and the noise that is left after a crop has been made smaller."""
    lens = draw_lens(rng)
    count, pixels = frames.shape[:2]
    table = np.clip((np.arange(256) - 16) * lens.gain + 16, 0, 255).round().astype(np.uint8)
    frames = np.asarray(cv2.LUT(frames.reshape(count * pixels, pixels, 3), table)).reshape(frames.shape)
    spread = lens.noise * min(1.0, pixels / float(np.median(outlines.squares[:, 2])))
    noise = cv2.merge([_grain(pixels, 0.0, round(4 * spread) / 4)] * 3)
    for frame, (x, y) in zip(frames, rng.integers(0, _NOISE_TILE, (count, 2)).tolist(), strict=True):
        cv2.add(frame, noise[y : y + pixels, x : x + pixels], dst=frame, dtype=cv2.CV_8U)
    return frames
