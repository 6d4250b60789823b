"""Estimates how a moving camera sees the room, frame by frame, and converts boxes to coordinates of the room and back.

Corners of the background are followed from a key frame by optical flow (Lucas-Kanade, forward and backward); a
similarity that most of them agree on (RANSAC) is the camera's motion, or a mere shift where a shift explains as many:
the scale of a similarity drifts. The product of these motions maps every frame to the first one: room coordinates, in
pixels of the first frame. A static camera has the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.vision.camera import track_corners

Floats = NDArray[np.float64]

MIN_CORNERS = 10  # below which a frame keeps the motion of the frame before it
MAX_ERROR = 0.7  # pixels by which a corner may miss its place after flow there and back
AGREEMENT = 1.0  # pixels within which a corner agrees with the similarity
MAX_ZOOM = 1.08  # change of scale since the key frame beyond which an estimate is refused
KEY_FRAMES = 6  # frames between key frames: a longer way is measured more exactly
SHIFT_EXPLAINS = 0.9  # share of the similarity's corners that agree with a shift, from which the shift is used


@dataclass(frozen=True)
class CameraPath:
    """Similarities (T, 2, 3) from pixels of each frame to room coordinates, and the frame's size."""

    to_room: Floats
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.to_room)

    @property
    def is_static(self) -> bool:
        return bool((self.to_room == self.to_room[0]).all())

    @property
    def scales(self) -> Floats:
        """(T,) room pixels per pixel of the frame."""
        return np.asarray(np.hypot(self.to_room[:, 0, 0], self.to_room[:, 1, 0]))

    def largest_shift(self) -> float:
        """Return the largest distance in pixels that the picture's centre moves from its place in the first frame."""
        centre = np.tile([self.width / 2, self.height / 2], (len(self), 1))
        return float(np.linalg.norm(self.points_to_room(centre) - centre, axis=1).max())

    def points_to_room(self, points: Floats) -> Floats:
        """Return points (T, …, 2) of each frame in room coordinates."""
        return np.asarray(_apply(self.to_room, points))

    def boxes_to_room(self, boxes: Floats) -> Floats:
        """Return boxes (T, 4) of each frame in room coordinates: upright around the mapped centre."""
        return self._map_boxes(boxes, self.to_room, self.scales)

    def boxes_to_picture(self, boxes: Floats, first: int = 0) -> Floats:
        """Return boxes (n, 4) in room coordinates as pixels of the frames from `first` on."""
        part = slice(first, first + len(boxes))
        return self._map_boxes(boxes, _inverse(self.to_room[part]), 1 / self.scales[part])

    def _map_boxes(self, boxes: Floats, matrices: Floats, scales: Floats) -> Floats:
        if self.is_static:
            return boxes
        centre = _apply(matrices, (boxes[:, :2] + boxes[:, 2:]) / 2)
        half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scales[:, None]
        return np.concatenate([centre - half, centre + half], axis=1)


def apply_motion(matrix: Floats, points: Floats) -> Floats:
    """Return points (n, 2) mapped by one similarity (2, 3)."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _apply(matrices: Floats, points: Floats) -> Floats:
    flat = points.reshape(len(points), -1, 2)
    mapped = np.einsum("tij,tnj->tni", matrices[:, :, :2], flat) + matrices[:, None, :, 2]
    return np.asarray(mapped.reshape(points.shape))


def _inverse(matrices: Floats) -> Floats:
    turn = np.linalg.inv(matrices[:, :, :2])
    return np.concatenate([turn, -turn @ matrices[:, :, 2:]], axis=2)


def static_path(frames: int, width: int, height: int) -> CameraPath:
    """Return the path of a camera that does not move."""
    return CameraPath(np.tile(np.eye(2, 3), (frames, 1, 1)), width, height)


def estimate_path(
    pictures: Sequence[NDArray[np.uint8]], scale: float, size: tuple[int, int], bodies: Sequence[Floats] = ()
) -> CameraPath:
    """Estimate the path from small pictures, of `scale` video pixels per pixel, for a video of `size` (width, height).

    `bodies` are boxes (T, 4) of people in video pixels, in which no corner may lie.
    """
    to_room = np.tile(np.eye(3), (len(pictures), 1, 1))
    key = 0
    for index in range(1, len(pictures)):
        step = None
        for start in dict.fromkeys((key, index - 1)):
            free = _free_of_people(pictures[start].shape, [body[start] / scale for body in bodies])
            step = _motion(pictures[start], pictures[index], free)
            if step is not None:
                to_room[index] = to_room[start] @ step
                break
        if step is None:  # as from the frame before the last one to the last one
            before = to_room[max(index - 2, 0)]
            to_room[index] = to_room[index - 1] @ np.linalg.inv(before) @ to_room[index - 1]
        if step is None or index - key >= KEY_FRAMES or abs(step[0, 2]) > pictures[0].shape[1] / 6:
            key = index
    to_room[:, :2, 2] *= scale
    return CameraPath(to_room[:, :2], *size)


def _free_of_people(shape: tuple[int, ...], boxes: Sequence[Floats]) -> NDArray[np.uint8]:
    free = np.full(shape[:2], 255, np.uint8)
    for box in boxes:
        if np.isfinite(box).all():
            x0, y0, x1, y1 = np.clip(np.rint(box), 0, 10**6).astype(int).tolist()
            free[y0:y1, x0:x1] = 0
    return free


def _motion(before: NDArray[np.uint8], after: NDArray[np.uint8], free: NDArray[np.uint8]) -> Floats | None:
    """Return the similarity (3, 3) from the later frame to the earlier one; None where it cannot be estimated."""
    apart = max(4, before.shape[1] // 50)
    corners = cv2.goodFeaturesToTrack(before, 200, 0.005, apart, mask=free)
    if corners is None or len(corners) < MIN_CORNERS:
        return None
    forward, sure = track_corners(before, after, corners, MAX_ERROR)
    if sure.sum() < MIN_CORNERS:
        return None
    start, end = corners[sure].reshape(-1, 2).astype(np.float64), forward[sure].reshape(-1, 2).astype(np.float64)
    cv2.setRNGSeed(0)  # RANSAC draws; the same picture must give the same path
    matrix, agreeing = cv2.estimateAffinePartial2D(end, start, method=cv2.RANSAC, ransacReprojThreshold=AGREEMENT)
    if matrix is None or agreeing.sum() < MIN_CORNERS:
        return None
    inliers = agreeing.ravel() == 1
    shift = np.median((start - end)[inliers], axis=0)
    same = np.linalg.norm(start - end - shift, axis=1) < AGREEMENT
    if same.sum() >= SHIFT_EXPLAINS * inliers.sum():
        return np.array([[1, 0, (start - end)[same][:, 0].mean()], [0, 1, (start - end)[same][:, 1].mean()], [0, 0, 1]])
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.vstack([matrix, [0, 0, 1]]) if 1 / MAX_ZOOM < zoom < MAX_ZOOM else None
