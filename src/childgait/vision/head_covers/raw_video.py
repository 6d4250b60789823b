"""A raw video for several passes over its frames: decoded once where they fit in memory, once per pass otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from childgait.files.video import Frame, read_frames

MAX_BYTES = 768 * 2**20  # of decoded frames; the job of a video has 2500 MB (workflow/rules/deidentify.smk)


class RawVideo:
    """The frames of a raw video. They are kept in memory of this process alone, never on disk."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._kept: list[Frame] | None = None  # all frames, once a pass has ended and they fit

    def frames(self) -> Iterator[Frame]:
        """Yield every frame in order. The caller may change the planes: later passes yield the raw ones again."""
        if self._kept is not None:
            yield from map(_copy, self._kept)
            return
        stored, free = [], self._max_bytes
        for frame in read_frames(self.path):
            free -= frame.planes.data.nbytes
            if free >= 0:
                stored.append(_copy(frame))
            else:
                stored.clear()
            yield frame
        self._kept = stored if free >= 0 else None


def _copy(frame: Frame) -> Frame:
    return replace(frame, planes=frame.planes.copy())
