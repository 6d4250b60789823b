"""Windows of synthetic walks with dense targets, for pre-training: the samples of windows.py, without clips.

A visit is named (epoch, index) and draws everything from (seed, epoch, index): the window's start, the augmentation,
colours, room and errors. So batches do not depend on the number of workers, and no window is shown twice in training.

Yields per window a Sample, as for any model, and WalkTargets: what the generator knows of the walk per tubelet of two
frames and per window. No item score is among them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from childgait.domain.evgs import MIRRORED, VIEWS
from childgait.files.atomic import atomic_outputs
from childgait.models.batch import Batch
from childgait.params import Augmentation, Drawing
from childgait.synthetic.motion import CURVES
from childgait.synthetic.outlines import (
    Outlines,
    StreamSettings,
    curves_of,
    draw_stream_child,
    draw_walk,
    measures_of,
    outline_child,
)
from childgait.synthetic.painting import Rooms, paint_window, place_points
from childgait.synthetic.rating import stream
from childgait.training.augmentation import UNCHANGED, Draw, Window, change, draw_changes
from childgait.training.windows import (
    Loading,
    Sample,
    Visit,
    collate,
    make_sample,
    spread,
    window_frames,
)
from childgait.vision.crop import square_path

Floats = NDArray[np.float32]
TUBELET = 2  # frames of one dense target
_MEMORY = 64  # children whose outlines a process keeps where there is no folder
_SWAPPED_CURVES = np.roll(np.arange(2 * len(CURVES)), len(CURVES))


@dataclass(frozen=True)
class WalkTargets:
    """What is known of one window; n is the number of its tubelets."""

    curves: Floats  # (n, 28), joint curves of the left and the right limb: degrees and shares
    phases: Floats  # (n, 4), cos and sin of the left limb's phase, then of the right one's
    points: Floats  # (n, 23, 2), exact keypoints in shares of the shown square
    measures: Floats  # (34,), the items' values before any band
    visible: NDArray[np.bool_]  # (34,), items that the view shows


@dataclass(frozen=True)
class BatchTargets:
    """The targets of B windows, stacked."""

    curves: Tensor
    phases: Tensor
    points: Tensor
    measures: Tensor
    visible: Tensor

    def to(self, device: str, *, non_blocking: bool = False) -> BatchTargets:
        return BatchTargets(
            **{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)}
        )

    def pin_memory(self) -> BatchTargets:
        return BatchTargets(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


class OutlineCache:
    """Outlines of a seed's children, made at the first use and kept: in `folder`, else the latest ones in memory.

    File names carry a digest of the seed and of the settings that shape a walk. The folder holds at most one file of
    about 1 MB per child.
    """

    def __init__(self, seed: int, settings: StreamSettings, folder: Path | None = None) -> None:
        self.seed, self.settings, self.folder = seed, settings, folder
        walk = replace(settings, pixels=0, frame_step=0, mask_error=0.0)  # these shape the window, not the walk
        self._digest = hashlib.sha256(repr((seed, walk)).encode()).hexdigest()[:12]
        self._kept: OrderedDict[int, list[Outlines]] = OrderedDict()

    def view(self, child: int, place: int) -> Outlines:
        """Return the outlines of a child in view number `place` of VIEWS."""
        if self.folder is not None:
            return self._read(self.folder / f"{self._digest}-{child:06d}.safetensors", child, place)
        if child not in self._kept:
            self._kept[child] = self._make(child)
            if len(self._kept) > _MEMORY:
                self._kept.popitem(last=False)
        self._kept.move_to_end(child)
        return self._kept[child][place]

    def _make(self, child: int) -> list[Outlines]:
        views = outline_child(self.seed, child, self.settings, self._crop)
        return sorted(views, key=lambda outlines: VIEWS.index(outlines.view))

    def _crop(self, seconds: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.int64]:
        margin, smoothing = self.settings.margin, self.settings.smoothing_seconds
        squares = square_path(seconds, boxes, margin=margin, smoothing_seconds=smoothing)
        return np.array([(square.left, square.top, square.side) for square in squares], np.int64)

    def _read(self, path: Path, child: int, place: int) -> Outlines:
        from safetensors import safe_open
        from safetensors.numpy import save_file

        if not path.exists():
            arrays = {
                f"{VIEWS.index(outlines.view)}.{name}": np.ascontiguousarray(values)
                for outlines in self._make(child)
                for name, values in outlines.arrays().items()
            }
            with atomic_outputs([path]) as partial:
                save_file(arrays, partial[path])
        with safe_open(path, framework="np") as file:
            names = [name for name in file.keys() if name.startswith(f"{place}.")]  # noqa: SIM118
            return Outlines.of_arrays({name.split(".", 1)[1]: file.get_tensor(name) for name in names})


class WalkWindows(Dataset[tuple[Sample, WalkTargets]]):
    """Windows of the children `children` of a seed.

    In training an epoch visits each of a child's four views once, in a random window. With `windows` per view a row is
    one of so many fixed windows, the same in every epoch, for validation.
    """

    def __init__(
        self,
        children: range,
        seed: int,
        settings: StreamSettings,
        loading: Loading,
        *,
        augmentation: Augmentation | None = None,
        windows: int | None = None,
        cache: Path | None = None,
    ) -> None:
        assert windows is None or augmentation is None, "validation windows are not augmented"
        assert not loading.reads("features"), "a synthetic walk has no table of features"
        self.children, self.seed, self.settings, self.loading = children, seed, settings, loading
        self.augmentation, self.windows = augmentation, windows
        self._cache, self._rooms = OutlineCache(seed, settings, cache), Rooms(seed)

    def __len__(self) -> int:
        return len(self.children) * len(VIEWS) * (self.windows or 1)

    def __getitem__(self, visit: Visit) -> tuple[Sample, WalkTargets]:
        epoch, index = visit
        row, window = divmod(index, self.windows or 1)
        number, place = divmod(row, len(VIEWS))
        outlines = self._cache.view(self.children[number], place)
        rng = np.random.default_rng([self.seed, epoch if self.windows is None else 0, index])
        draw = UNCHANGED
        if self.augmentation is not None:
            draw = draw_changes(self.augmentation, rng)
        starts = self._starts(len(outlines.squares), draw.stretch)
        start = int(rng.choice(starts) if self.windows is None else spread(starts, self.windows)[window])
        return self.make_window(outlines, number, start, rng, draw)

    def make_window(
        self, outlines: Outlines, row: int, start: int, rng: np.random.Generator, draw: Draw = UNCHANGED
    ) -> tuple[Sample, WalkTargets]:
        """Paint the window that begins at frame `start`; `rng` draws the colours, the room and the errors."""
        stretch = self.settings.frame_step * draw.stretch
        frames = window_frames(start, self.loading.frames, len(outlines.squares), stretch)
        return self._sample(row, start, outlines, frames, draw, rng), self._targets(outlines, frames, draw)

    def _starts(self, length: int, stretch: float) -> NDArray[np.int64]:
        """Return the frames that a window may begin at without repeating its last frame."""
        reach = round((self.loading.frames - 1) * self.settings.frame_step * stretch)
        return np.arange(max(length - reach, 1), dtype=np.int64)

    def _sample(
        self, row: int, start: int, outlines: Outlines, frames: NDArray[np.int64], draw: Draw, rng: np.random.Generator
    ) -> Sample:
        pixels, masks, size = None, None, self.settings.pixels
        if self.loading.reads("frames") or self.loading.reads("masks"):
            pixels, masks = paint_window(outlines, frames, size, self._rooms, self.settings.mask_error, rng)
        points = None
        if self.loading.reads("points"):
            xy = place_points(outlines.estimated[..., :2], outlines, frames, size)
            points = np.concatenate([xy, outlines.estimated[frames, :, 2:]], axis=2)
        window = Window(
            frames=pixels if self.loading.reads("frames") else None,
            masks=masks if self.loading.reads("masks") else None,
            points=points,
            labels=np.full(len(MIRRORED), np.nan, np.float32),
            near="left" if outlines.view == "left" else "right",
            size=size,
        )
        return make_sample(self.loading, row, start, change(window, draw))

    def _targets(self, outlines: Outlines, frames: NDArray[np.int64], draw: Draw) -> WalkTargets:
        """Return the targets of a window, changed as its picture is."""
        size = self.settings.pixels
        exact = np.zeros((len(frames), outlines.exact.shape[1], 3), np.float32)
        exact[..., :2] = place_points(outlines.exact, outlines, frames, size)
        changed = change(Window(None, None, exact, outlines.measures, "left", size), draw)
        assert changed.points is not None
        curves, phases, visible = outlines.curves[frames], outlines.phases[frames], outlines.visible
        if draw.flip:
            curves, phases, visible = curves[:, _SWAPPED_CURVES], phases[:, ::-1], visible[list(MIRRORED)]
        angles = np.float32(2 * np.pi) * _per_tubelet(phases)
        return WalkTargets(
            curves=_per_tubelet(curves),
            phases=np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(len(angles), -1),
            points=_per_tubelet((changed.points[..., :2] + np.float32(0.5)) / np.float32(size)),
            measures=changed.labels,
            visible=visible,
        )


def _per_tubelet(values: NDArray[np.floating]) -> Floats:
    """Return the mean over each tubelet's frames."""
    return np.asarray(values.reshape(-1, TUBELET, *values.shape[1:]).mean(axis=1), np.float32)


def collate_walks(items: list[tuple[Sample, WalkTargets]]) -> tuple[Batch, BatchTargets]:
    """Stack windows and their targets."""
    targets = [target for _, target in items]
    stacked = {
        f.name: torch.from_numpy(np.stack([getattr(one, f.name) for one in targets])) for f in fields(WalkTargets)
    }
    return collate([sample for sample, _ in items]), BatchTargets(**stacked)


@dataclass(frozen=True)
class TargetScale:
    """How targets are distributed, the same for both limbs, so that a flip changes nothing."""

    curve_mean: Floats  # (28,)
    curve_deviation: Floats
    measure_mean: Floats  # (34,)
    measure_deviation: Floats
    measure_low: Floats  # 1st percentile
    measure_high: Floats  # 99th percentile


def target_scale(seed: int, settings: StreamSettings, children: range) -> TargetScale:
    """Measure means, standard deviations and percentiles of curves and measures over some children."""
    measures, curves = [], []
    for index in children:
        child = draw_stream_child(seed, index)
        measures.append(measures_of(child).reshape(2, -1))
        walked, _ = draw_walk(child, "out", False, settings.seconds, stream(seed, index, 1))
        curves.append(curves_of(walked.motion).reshape(-1, len(CURVES)))
    items, joints = np.concatenate(measures).astype(np.float64), np.concatenate(curves).astype(np.float64)

    def both(values: NDArray[np.float64]) -> Floats:
        return np.tile(values, 2).astype(np.float32)

    low, high = np.percentile(items, [1, 99], axis=0)
    return TargetScale(
        both(joints.mean(axis=0)),
        both(np.maximum(joints.std(axis=0), 1e-6)),
        both(items.mean(axis=0)),
        both(np.maximum(items.std(axis=0), 1e-6)),
        both(low),
        both(high),
    )


def draw_strip(
    children: range, seed: int, settings: StreamSettings, style: Drawing, *, columns: int = 8, enlarge: int = 1
) -> NDArray[np.uint8]:
    """Draw painted windows with their skeletons, one row per child and view: RGB (H, W, 3)."""
    loading = Loading(2 * columns, frozenset({"frames"}), drawing=style)
    windows = WalkWindows(children, seed, settings, loading)
    rows = []
    for index in range(len(windows)):
        frames = windows[0, index][0].frames
        assert frames is not None
        rows.append(np.concatenate(list(frames[::2]), axis=1))
    return np.concatenate(rows).repeat(enlarge, axis=0).repeat(enlarge, axis=1)
