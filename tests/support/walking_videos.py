"""Made-up recordings: a child of its own colours crosses a room of its own. `walk(room, child)`, `write_video(path,
…)`."""

from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT, FRAMES = 320, 180, 40


def room(seed: int) -> np.ndarray:
    """Smooth blobs, as a room is; no two seeds alike."""
    noise = np.random.default_rng(seed).integers(60, 200, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def walk(where: int, who: int, frames: int = FRAMES) -> list[np.ndarray]:
    """A child of its own colours crosses a room."""
    body = cv2.resize(np.random.default_rng(who).integers(0, 255, (6, 3, 3), dtype=np.uint8), (30, 90))
    pictures = []
    for number in range(frames):
        picture, x = room(where), 10 + number * (WIDTH - 60) // frames
        picture[60:150, x : x + 30] = body
        pictures.append(picture)
    return pictures


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
