"""Search for pictures of an erased child, also scaled, encoded again or renamed.

A perceptual hash finds similar pictures. In a gait laboratory all pictures are similar, because the background is the
same; so a match counts only if the foreground agrees too: the picture minus the background, where somebody moves. A
part cut out of a picture is not found (the study's own crops, the clips, are searched for as they are).
"""

from __future__ import annotations

import contextlib
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
_WITHIN = 40  # of 256 bits, by which similar pictures may differ
_MOVES = 12.0  # grey levels of difference from the background
_LEAST_MOVING = 0.01  # share of cells; with less, nobody is in the picture
_EXPLAINED = 0.9  # share of the foreground's energy that another picture must explain to be a match


@dataclass(frozen=True)
class ReferencePicture:
    """One picture of the child, to search for."""

    bits: NDArray[np.bool_]
    small: NDArray[np.float32]
    background: NDArray[np.float32]  # the same place without the child


def has_pictures(path: Path) -> bool:
    """Whether a file is an image, a video or an array, by its first bytes: DVC's objects have no ending."""
    with path.open("rb") as stream:
        head = stream.read(16)
    return (
        head.startswith((b"\x93NUMPY", b"\xff\xd8\xff", b"\x89PNG", b"\x1aE\xdf\xa3", b"RIFF")) or head[4:8] == b"ftyp"
    )


def pictures_in(path: Path, every: int = 10) -> Iterator[NDArray[np.uint8]]:
    """Yield every tenth picture of a video or of an array of pictures, or the one of an image; nothing else."""
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(b"\x93NUMPY"):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:  # cut off, as a killed job leaves it
            return
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
        return  # not a video


def reference_pictures(paths: Iterable[Path]) -> list[ReferencePicture]:
    """Collect every picture of the child in its own recordings and clips; a copy may contain any of them.

    A single image (a sheet of many pictures) has no background of its own and is left out.
    """
    references = []
    for path in paths:
        if not path.is_file():
            continue
        pictures = [(perceptual_hash(picture), _small(picture)) for picture in pictures_in(path, every=1)]
        if len(pictures) < 3:
            continue
        background = np.median(np.stack([small for _, small in pictures]), axis=0).astype(np.float32)
        for bits, small in pictures:
            if (np.abs(small - background) > _MOVES).mean() >= _LEAST_MOVING:
                references.append(ReferencePicture(bits, small, background))
    return references


def find_pictures(references: list[ReferencePicture], paths: Iterable[Path], *, skip: set[str]) -> dict[Path, str]:
    """List the files that show one of the pictures; files with a sha256 in `skip` are not searched."""
    if not references:
        return {}
    bank = np.stack([one.bits.ravel() for one in references])
    shows = dict.fromkeys(skip, False)  # by sha256: the same bytes lie in several caches and are searched once
    matches = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # in a temporary folder: removed meanwhile
            if not path.is_file() or not has_pictures(path):
                continue
            digest = sha256(path)
            if digest not in shows:
                shows[digest] = any(_matches_any(picture, references, bank) for picture in pictures_in(path))
            if shows[digest]:
                matches[path] = "it shows the child"
    return matches


def _matches_any(picture: NDArray[np.uint8], references: list[ReferencePicture], bank: NDArray[np.bool_]) -> bool:
    similar = np.flatnonzero((bank != perceptual_hash(picture).ravel()).sum(axis=1) <= _WITHIN)
    return any(_same_foreground(_small(picture), references[index]) for index in similar)


def perceptual_hash(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Hash a picture (height, width) or (height, width, 3) to 256 bits.

    A bit is set where a cell of a 16 x 17 grid is brighter than the one to its left.
    """
    small = cv2.resize(_grey(picture), (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.asarray(small[:, 1:] > small[:, :-1])


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = picture if picture.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    return np.asarray(grey, dtype=np.uint8)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(_grey(picture), _SMALL, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _same_foreground(small: NDArray[np.float32], reference: ReferencePicture) -> bool:
    """Whether a picture shows the child where the reference does; brightness and contrast may differ."""
    moving = np.abs(reference.small - reference.background) > _MOVES
    still = small[~moving]
    if still.size < 2 or still.std() == 0:
        return False
    gain, offset = np.polyfit(still, reference.small[~moving], 1)
    residual = gain * small[moving] + offset - reference.small[moving]
    foreground = reference.small[moving] - reference.background[moving]
    return bool((residual**2).sum() <= (1 - _EXPLAINED) * (foreground**2).sum())
