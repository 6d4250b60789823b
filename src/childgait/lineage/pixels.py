"""Looks for a child's pictures where they should no longer be, however they are kept: scaled, encoded anew, renamed.

A perceptual hash finds pictures that look alike as a whole. In a gait laboratory all do, since the room is the same; so
a find counts only if it also shows what stands before the room: the picture less the room, where somebody moves. What
it cannot find: a part cut out of a picture (the study's own cut-outs, the clips, are known to it as they are).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from childgait.files.hashes import sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDE = 16  # a perceptual hash has 16 x 16 bits
_SMALL = (64, 36)  # cells of the small picture, across and down
_WITHIN = 40  # of 256 bits, that alike pictures may differ by
_MOVES = 12.0  # grey levels off the room
_LEAST_MOVING = 0.01  # share of the cells: with less, nobody is in the picture
_SHOWN = 0.9  # share of what stands before the room that another picture must show, to be the same


@dataclass(frozen=True)
class Known:
    """One picture of the child."""

    bits: NDArray[np.bool_]
    small: NDArray[np.float32]
    room: NDArray[np.float32]  # the same place without the child


def has_pictures(path: Path) -> bool:
    """By its first bytes, whatever it is called: DVC's objects have no ending."""
    with path.open("rb") as stream:
        head = stream.read(16)
    return (
        head.startswith((b"\x93NUMPY", b"\xff\xd8\xff", b"\x89PNG", b"\x1aE\xdf\xa3", b"RIFF")) or head[4:8] == b"ftyp"
    )


def pictures_in(path: Path, every: int = 10) -> Iterator[NDArray[np.uint8]]:
    """Every tenth picture of a video or of an array of pictures, or the one of an image; none of any other file."""
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(b"\x93NUMPY"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.dtype == np.uint8 and array.ndim >= 3 and min(array.shape[1:3]) >= _SIDE:
            yield from (np.asarray(array[index]) for index in range(0, len(array), every))
    elif head.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is not None:
            yield np.asarray(image[:, :, ::-1], dtype=np.uint8)
    elif has_pictures(path):
        yield from _frames(path, every)


def _frames(path: Path, every: int) -> Iterator[NDArray[np.uint8]]:
    import av

    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    except (av.error.FFmpegError, IndexError):
        return  # not a video after all


def remember(paths: Iterable[Path]) -> list[Known]:
    """Every picture of the child in its own recordings and clips (a copy may hold any of them), as long as they are
    there.

    A single image (a sheet of many pictures) has no room of its own and is left out.
    """
    known = []
    for path in paths:
        if not path.is_file():
            continue
        looks = [(perceptual_hash(picture), _small(picture)) for picture in pictures_in(path, every=1)]
        if len(looks) < 3:
            continue
        room = np.median(np.stack([small for _, small in looks]), axis=0).astype(np.float32)
        known += [
            Known(bits, small, room) for bits, small in looks if (np.abs(small - room) > _MOVES).mean() >= _LEAST_MOVING
        ]
    return known


def find_pixels(known: list[Known], paths: Iterable[Path], *, unless: set[str]) -> dict[Path, str]:
    """The files that show one of the known pictures; those with such a sha256 are not looked at."""
    if not known:
        return {}
    bank = np.stack([one.bits.ravel() for one in known])
    seen = dict.fromkeys(unless, False)  # the same bytes lie in several caches: looked at once
    found = {}
    for path in paths:
        if not has_pictures(path):
            continue
        digest = sha256(path)
        if digest not in seen:
            seen[digest] = any(_is_known(picture, known, bank) for picture in pictures_in(path))
        if seen[digest]:
            found[path] = "it shows the child"
    return found


def _is_known(picture: NDArray[np.uint8], known: list[Known], bank: NDArray[np.bool_]) -> bool:
    alike = np.flatnonzero((bank != perceptual_hash(picture).ravel()).sum(axis=1) <= _WITHIN)
    return any(_shows(_small(picture), known[index]) for index in alike)


def perceptual_hash(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """256 bits of a picture (height, width) or (height, width, 3): is a cell of a 16 x 17 grid brighter than
    the next?"""
    small = cv2.resize(_grey(picture), (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.asarray(small[:, 1:] > small[:, :-1])


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = picture if picture.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, dtype=np.uint8)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(_grey(picture), _SMALL, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _shows(small: NDArray[np.float32], one: Known) -> bool:
    """Whether a picture has, where the child stood before the room, the child; its light may be another."""
    moving = np.abs(one.small - one.room) > _MOVES
    still = small[~moving]
    if still.size < 2 or still.std() == 0:
        return False
    gain, offset = np.polyfit(still, one.small[~moving], 1)
    missed = gain * small[moving] + offset - one.small[moving]
    child = one.small[moving] - one.room[moving]
    return bool((missed**2).sum() <= (1 - _SHOWN) * (child**2).sum())
