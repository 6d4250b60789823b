"""Windows of T frames from prepared clips, as batches for any model.

Training uses one random, augmented window per row of a part table; inference uses `windows_per_video` windows spread
evenly over each video. An item is identified by (epoch, index) and seeds its own generator with (seed, epoch, index),
so batches do not depend on the number of workers.

A `Loading` describes what a model reads. Skeletons are drawn and patches selected here, in the workers, so that only
the kept patches are copied to the device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from childgait.domain.evgs import MIRRORED
from childgait.files.clips import Clip
from childgait.models.batch import Batch, InputName
from childgait.models.tokens import Packing, cut, pack
from childgait.params import Augmentation, Drawing
from childgait.training.augmentation import UNCHANGED, Draw, Window, change, draw_changes
from childgait.vision.drawing import draw_skeletons
from childgait.vision.silhouette_crops import crop_silhouettes

Visit = tuple[int, int]  # epoch, index
Anchor = Literal["none", "contact"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loading:
    """What the loader reads for a model; the same in training and in inference."""

    frames: int  # T
    inputs: frozenset[InputName]
    drawing: Drawing | None = None  # of the skeleton on the frames; None: no skeleton
    packing: Packing | None = None  # frames come as packed patches
    frame_step: int = 1  # frames of the clip from one frame of the window to the next
    silhouette_columns: int = 44  # width of a silhouette in pixels

    def reads(self, part: InputName) -> bool:
        """Return whether a part of the clip is read, for the model itself or for prompting and pruning."""
        needed = {
            "points": self.drawing is not None,
            "masks": "silhouettes" in self.inputs or (self.packing is not None and self.packing.prune == "mask"),
            "frames": self.packing is not None,
        }
        return part in self.inputs or needed.get(part, False)


@dataclass(frozen=True)
class Sample:
    """One window, ready to be collated."""

    row: int
    start: int
    labels: NDArray[np.float32]
    frames: NDArray[np.uint8] | None
    masks: NDArray[np.bool_] | None
    silhouettes: NDArray[np.uint8] | None
    rectangles: NDArray[np.float32] | None
    points: NDArray[np.float32] | None
    features: NDArray[np.float32] | None
    patches: NDArray[np.uint8] | None
    index: NDArray[np.int64] | None
    filled: int  # tokens kept only to reach min_tokens


def starts_of(clip: Clip, frames: int, anchor: Anchor, step: int = 1) -> NDArray[np.int64]:
    """Return every frame that a window may begin at, ascending; only 0 for a clip shorter than a window.

    Where covers hide the child in some frames, only windows with the fewest of them.
    """
    starts = _all_starts(clip, frames, anchor, step)
    if not clip.covered:
        return starts
    hidden = np.concatenate([[0], np.cumsum(~clip.usable())])
    ends = np.minimum(starts + (frames - 1) * step + 1, clip.length)
    count = hidden[ends] - hidden[starts]
    return starts[count == count.min()]


def _all_starts(clip: Clip, frames: int, anchor: Anchor, step: int) -> NDArray[np.int64]:
    reach = (frames - 1) * step + 1
    last = max(clip.length - reach, 0)
    if anchor == "contact":
        contacts = [event.frame - reach // 2 for event in clip.events if event.kind == "contact"]
        if contacts:
            return np.unique(np.clip(contacts, 0, last)).astype(np.int64)
    return np.arange(last + 1, dtype=np.int64)


def spread(starts: NDArray[np.int64], windows_per_video: int) -> NDArray[np.int64]:
    """`windows_per_video` of them, evenly spread with the first and last among them; the middle one where one is asked
    for."""
    if windows_per_video == 1:
        return starts[[len(starts) // 2]]
    return starts[np.rint(np.linspace(0, len(starts) - 1, windows_per_video)).astype(int)]


def window_frames(start: int, frames: int, length: int, stretch: float = 1.0) -> NDArray[np.int64]:
    """Return the clip's frames that a window shows; a clip that ends too early repeats its last frame."""
    return np.minimum(start + np.rint(np.arange(frames) * stretch), length - 1).astype(np.int64)


def nearest_usable(index: NDArray[np.int64], clip: Clip) -> NDArray[np.int64]:
    """Replace frames in which covers hide the child by the nearest ones in which they do not."""
    if not clip.covered:
        return index
    usable = np.flatnonzero(clip.usable())
    return np.asarray(usable[np.abs(index[:, None] - usable).argmin(axis=1)], np.int64)


class Windows(Dataset[Sample]):
    """`clips[i]` with `labels[i]` is row i of a part table. Without `windows_per_video` a row is a random window."""

    def __init__(
        self,
        clips: Sequence[Clip],
        labels: NDArray[np.float32],
        loading: Loading,
        *,
        seed: int = 0,
        windows_per_video: int | None = None,
        augmentation: Augmentation | None = None,
        anchor: Anchor = "none",
        mirrored: Sequence[int] = MIRRORED,
    ) -> None:
        assert len(clips) == len(labels), (len(clips), len(labels))
        assert windows_per_video is None or augmentation is None, "windows of inference are not augmented"
        self.clips, self.labels, self.loading, self.mirrored = list(clips), labels, loading, mirrored
        self.seed, self.windows_per_video, self.augmentation, self.anchor = (
            seed,
            windows_per_video,
            augmentation,
            anchor,
        )
        self.features = None
        if loading.reads("features"):
            from childgait.gait.features import features_of_clips

            self.features = features_of_clips(self.clips)
        bare = sum(not any(event.kind == "contact" for event in clip.events) for clip in clips)
        if anchor == "contact" and bare:
            log.warning("%d of %d clips have no foot contact: their windows may begin anywhere", bare, len(clips))

    def __len__(self) -> int:
        return len(self.clips) * (self.windows_per_video or 1)

    def __getitem__(self, visit: Visit) -> Sample:
        _, index = visit
        if self.windows_per_video is None:
            return self.sample(index, *self.draw(visit))
        row, view = divmod(index, self.windows_per_video)
        starts = starts_of(self.clips[row], self.loading.frames, self.anchor, self.loading.frame_step)
        return self.sample(row, int(spread(starts, self.windows_per_video)[view]), UNCHANGED)

    def several(self, visit: Visit, count: int) -> list[Sample]:
        """Draw `count` windows of one row, the first as without others; all are flipped or none, as labels have sides.

        The labels of all of them are the same.
        """
        epoch, index = visit
        seed = [self.seed, epoch, index]
        first = self._draw(seed, index)
        others = [self._draw([*seed, number], index) for number in range(1, count)]
        flipped = [(start, replace(draw, flip=first[1].flip)) for start, draw in others]
        return [self.sample(index, start, draw) for start, draw in [first, *flipped]]

    def draw(self, visit: Visit) -> tuple[int, Draw]:
        """Draw the start and the augmentation of a training window."""
        epoch, row = visit
        return self._draw([self.seed, epoch, row], row)

    def _draw(self, seed: list[int], row: int) -> tuple[int, Draw]:
        """Draw a window's start and its augmentation."""
        rng = np.random.default_rng(seed)
        starts = starts_of(self.clips[row], self.loading.frames, self.anchor, self.loading.frame_step)
        start = int(starts[rng.integers(len(starts))])
        return start, UNCHANGED if self.augmentation is None else draw_changes(self.augmentation, rng)

    def sample(self, row: int, start: int, draw: Draw, roughen: Callable[[Window], Window] | None = None) -> Sample:
        """Return one window, changed as drawn, roughened if requested; what the model reads is made last."""
        window = change(self._window(row, start, draw.stretch), draw)
        features = None if self.features is None else self.features[row]
        if features is not None and draw.flip:
            features = features.reshape(2, -1)[::-1].reshape(-1)  # the limbs swap names
        return make_sample(self.loading, row, start, window if roughen is None else roughen(window), features)

    def _window(self, row: int, start: int, stretch: float) -> Window:
        clip, read = self.clips[row], self.loading.reads
        index = window_frames(start, self.loading.frames, clip.length, stretch * self.loading.frame_step)
        index = nearest_usable(index, clip)
        return Window(
            frames=clip.frames(index) if read("frames") else None,
            masks=clip.masks(index) if read("masks") else None,
            points=clip.points(index) if read("points") else None,
            labels=self.labels[row],
            near="left" if clip.view == "left" else "right",
            size=clip.size,
            mirrored=self.mirrored,
        )


class WindowSets(Dataset[list[Sample]]):
    """`count` random windows per row of `windows`, for a loss on the mean of their logits."""

    def __init__(self, windows: Windows, count: int) -> None:
        assert windows.windows_per_video is None, "only training windows are random"
        self.windows, self.count = windows, count

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, visit: Visit) -> list[Sample]:
        return self.windows.several(visit, self.count)


class WindowShare(Dataset[Sample]):
    """The windows of inference that one of several processes predicts: every `world`-th, from its rank on."""

    def __init__(self, windows: Windows, rank: int, world: int) -> None:
        self.windows, self.rank, self.world, self.seed = windows, rank, world, windows.seed

    def __len__(self) -> int:
        return len(range(self.rank, len(self.windows), self.world))

    def __getitem__(self, visit: Visit) -> Sample:
        epoch, index = visit
        return self.windows[epoch, self.rank + index * self.world]


def make_sample(
    loading: Loading, row: int, start: int, window: Window, features: NDArray[np.float32] | None = None
) -> Sample:
    """Draw the skeleton on a window, cut it into the kept patches, and drop the parts that the model does not read."""
    frames, points = window.frames, window.points
    if loading.drawing is not None:
        assert frames is not None
        assert points is not None
        frames = draw_skeletons(frames, points, loading.drawing, window.near)
    patches, index, filled = None, None, 0
    if loading.packing is not None:
        assert frames is not None
        patches, selection = cut(frames, window.masks, loading.packing)
        index, filled, frames = selection.index, selection.filled, None
    silhouettes, rectangles = None, None
    if "silhouettes" in loading.inputs:
        assert window.masks is not None
        silhouettes, rectangles = crop_silhouettes(window.masks, loading.silhouette_columns)
    if points is not None:  # a network cannot read NaN; a score of 0 marks a missing point
        points = np.nan_to_num(points, nan=0.0)
    packed = loading.packing is not None
    return Sample(
        row,
        start,
        window.labels,
        frames,
        window.masks if "masks" in loading.inputs and not packed else None,
        silhouettes,
        rectangles,
        points if "points" in loading.inputs and not packed else None,
        features,
        patches,
        index,
        filled,
    )


def collate(samples: list[Sample]) -> Batch:
    def stacked(part: str) -> torch.Tensor | None:
        arrays = [getattr(sample, part) for sample in samples]
        return None if arrays[0] is None else torch.from_numpy(np.stack(arrays))

    packed = None
    if samples[0].patches is not None:
        packed = pack(
            [torch.from_numpy(sample.patches) for sample in samples],
            [torch.from_numpy(sample.index) for sample in samples],
        )
    return Batch(
        size=len(samples),
        frames=stacked("frames"),
        masks=stacked("masks"),
        silhouettes=stacked("silhouettes"),
        rectangles=stacked("rectangles"),
        points=stacked("points"),
        features=stacked("features"),
        packed=packed,
        labels=stacked("labels"),
        rows=torch.tensor([sample.row for sample in samples]),
        windows=torch.tensor([sample.start for sample in samples]),
        filled=sum(sample.filled for sample in samples),
    )


def collate_sets(sets: list[list[Sample]]) -> Batch:
    """Collate the windows of several rows; those of one row stand together."""
    return collate([sample for samples in sets for sample in samples])


class WindowSampler(Sampler[Visit]):
    """Yields the windows of an epoch as (epoch, index), in order or shuffled by the seed. Set `epoch` before each."""

    def __init__(self, count: int, *, seed: int, shuffle: bool) -> None:
        self.count, self.seed, self.shuffle, self.epoch = count, seed, shuffle, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Visit]:
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        return ((self.epoch, int(index)) for index in order)


def make_loader(
    windows: Any,
    *,
    batch_size: int,
    workers: int,
    shuffle: bool,
    drop_last: bool = False,
    pin_memory: bool = False,
    collate_fn: Callable[[list[Any]], Any] = collate,
) -> tuple[DataLoader[Any], WindowSampler]:
    """Return a loader of Windows or WalkWindows, and its sampler, whose `epoch` the caller sets."""
    sampler = WindowSampler(len(windows), seed=windows.seed, shuffle=shuffle)
    loader: DataLoader[Any] = DataLoader(
        windows,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=collate_fn,
        drop_last=drop_last,
        pin_memory=pin_memory,
        **worker_options(workers),
    )
    return loader, sampler


class WorkerOptions(TypedDict, total=False):
    """The arguments of a DataLoader that concern its workers."""

    num_workers: int
    persistent_workers: bool
    multiprocessing_context: str
    worker_init_fn: Callable[[int], None]


def worker_options(workers: int) -> WorkerOptions:
    """How a DataLoader starts its workers: not by a plain fork, which copies the locks of OpenCV's and torch's threads
    as they are just then, and can hang for ever."""
    if workers == 0:
        return {"num_workers": 0}
    return {
        "num_workers": workers,
        "persistent_workers": True,
        "multiprocessing_context": "forkserver",
        "worker_init_fn": _start_worker,
    }


def _start_worker(number: int) -> None:
    """Switch off OpenCV's own threads, which would compete with the workers."""
    import cv2

    cv2.setNumThreads(1)
