"""What somebody would do to a covered video to get the face back, with everything in his favour.

The true way of the head is given (a real attacker aligns by the visible body, less well). Every frame is brought back
onto the face at four times its size and averaged; then the blur of the cells is undone by Richardson and Lucy's
iteration for several cell sizes, and the best result counts. `correlation` is with the true face, in absolute value.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from support.portrait_scene import face_of, true_face

ZOOM = 2


def correlation(found: np.ndarray) -> float:
    truth = cv2.resize(true_face(), found.shape[::-1], interpolation=cv2.INTER_LINEAR)
    if found.std() < 1e-3:
        return 0.0
    return float(abs(np.corrcoef(found.ravel(), truth.ravel())[0, 1]))


def rebuilt(pictures: Iterable[np.ndarray], matrices: Iterable[np.ndarray]) -> np.ndarray:
    """The average of all frames, aligned."""
    return np.mean([face_of(p, m, ZOOM) for p, m in zip(pictures, matrices, strict=True)], axis=0)


def sharpened(picture: np.ndarray, cell: float, rounds: int = 30) -> np.ndarray:
    """Deconvolved for square cells of that many pixels whose place was random."""
    size = max(round(cell), 1)
    line = np.convolve(np.ones(size) / size, np.ones(size) / size)
    kernel = np.outer(line, line).astype(np.float32)
    observed = np.maximum(picture, 1.0).astype(np.float32)
    estimate = observed.copy()
    for _ in range(rounds):
        blurred = cv2.filter2D(estimate, -1, kernel, borderType=cv2.BORDER_REFLECT)
        estimate *= cv2.filter2D(observed / np.maximum(blurred, 1.0), -1, kernel, borderType=cv2.BORDER_REFLECT)
    return estimate


def attack(pictures: list[np.ndarray], matrices: list[np.ndarray]) -> dict[str, float]:
    """How much of the face comes back: from the best single frame, from the average, from the best deconvolution."""
    single = max(correlation(face_of(p, m, ZOOM)) for p, m in zip(pictures, matrices, strict=True))
    average = rebuilt(pictures, matrices)
    best = max(correlation(sharpened(average, cell)) for cell in (4, 8, 12, 16, 24, 32))
    return {"frame": single, "average": correlation(average), "deconvolved": best}


def framewise_mosaic(picture: np.ndarray, head: np.ndarray, cells: int | None = None, pixels: int = 20) -> np.ndarray:
    """What common tools do: a grid over the head's box, drawn anew for every frame, each cell its mean colour."""
    covered = picture.copy()
    x0, y0, x1, y1 = np.round(head).astype(int)
    step = pixels if cells is None else -(-min(x1 - x0, y1 - y0) // cells)
    for y in range(y0, y1, step):
        for x in range(x0, x1, step):
            part = covered[max(y, 0) : max(min(y + step, y1), 0), max(x, 0) : max(min(x + step, x1), 0)]
            if part.size:
                part[:] = part.reshape(-1, 3).mean(axis=0)
    return covered
