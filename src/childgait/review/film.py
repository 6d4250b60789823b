"""Frames of de-identified videos as JPEGs in memory: decoded once, in order, while the page already shows the first.

A lossless video has one key frame, so that a jump to a frame would decode everything before it. Nothing is written to
disk, so that an erasure has nothing to search here. The hash of the decoded pixels is computed on the way.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.files.video import Frame

QUALITY = 88  # of JPEG
LARGEST_STORE = 800 << 20  # bytes of all films in memory
WAIT_SECONDS = 60.0  # for one frame of a film that is being decoded


class Film:
    """The frames of one video; a thread decodes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: list[bytes] = []
        self.seconds: list[float] = []
        self.bytes = 0
        self.sha256 = ""  # of the decoded pixels, once all are decoded
        self.error: StepError | None = None
        self._change = threading.Condition()
        self._stopped = False
        threading.Thread(target=self._decode, name=f"decode {path.name}", daemon=True).start()

    @property
    def complete(self) -> bool:
        return bool(self.sha256)

    def stop(self) -> None:
        """End the decoding; the frames so far are dropped with the object."""
        self._stopped = True

    def frame(self, index: int) -> bytes:
        """Return one frame as JPEG; wait for it while the video is decoded."""
        with self._change:
            self._change.wait_for(
                lambda: index < len(self.frames) or self.complete or self.error is not None, WAIT_SECONDS
            )
            if index < len(self.frames):
                return self.frames[index]
        raise self.error or StepError(f"{self.path} has no frame {index}", hint="frames count from 0")

    def stream(self) -> Iterator[bytes]:
        """Yield every frame, each behind its length in four bytes, as soon as it is decoded."""
        index = 0
        while True:
            try:
                data = self.frame(index)
            except StepError:
                return  # the page compares the number of frames with the evidence, and reads the error of the film
            yield len(data).to_bytes(4, "big") + data
            index += 1

    def wait(self) -> None:
        """Wait until all frames are decoded; fail where the video cannot be decoded."""
        with self._change:
            self._change.wait_for(lambda: self.complete or self.error is not None)
        if self.error:
            raise self.error

    def _decode(self) -> None:
        from childgait.files.video import read_frames, update_hash

        digest = hashlib.sha256()
        try:
            for frame in read_frames(self.path):
                if self._stopped:
                    raise StepError(f"{self.path} is no longer shown", hint="open it again")
                update_hash(digest, frame)
                data = encode(frame)
                with self._change:
                    self.frames.append(data)
                    self.seconds.append(float(frame.seconds))
                    self.bytes += len(data)
                    self._change.notify_all()
            with self._change:
                self.sha256 = digest.hexdigest()
                self._change.notify_all()
        except Exception as error:  # whatever ends the thread must wake those who wait for its frames
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._change:
            self.error = (
                error
                if isinstance(error, StepError)
                else StepError(f"{self.path} cannot be read ({error})", hint="run `make run`")
            )
            self._change.notify_all()


def encode(frame: Frame) -> bytes:
    """Return a frame as JPEG. Halved planes in BT.601, limited range, are converted directly, which is much faster."""
    import cv2

    planes, colour = frame.planes, frame.colour
    if planes.halved and colour.space != 1 and colour.range != 2:
        pixels = cv2.cvtColor(planes.data.reshape(planes.height * 3 // 2, planes.width), cv2.COLOR_YUV2BGR_I420)
    else:
        pixels = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done, "OpenCV is built without JPEG"
    return data.tobytes()


class FilmStore:
    """The films in memory, the most recently shown last."""

    def __init__(self) -> None:
        self._films: OrderedDict[tuple[Path, int, int], Film] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, path: Path) -> Film:
        """Return the film of a file; a file that changed since is decoded again."""
        try:
            state = path.stat()
        except OSError:
            raise StepError(f"the de-identified video {path} is gone", hint="run `make run`") from None
        key = (path, state.st_mtime_ns, state.st_size)
        with self._lock:
            film = self._films.pop(key, None)
            if film is None or film.error is not None:
                film = Film(path)
            self._films[key] = film
            while len(self._films) > 2 and sum(one.bytes for one in self._films.values()) > LARGEST_STORE:
                self._films.popitem(last=False)[1].stop()
        return film
