"""One window as a network receives it, and where its evidence lies: the pictures of the report and of a child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.params import Drawing
from childgait.training.gradcam import Evidence, evidence_of, plain_window, trained_network
from childgait.training.losses import atypical_logits
from childgait.training.predict import loading_of
from childgait.training.windows import Loading, Windows, collate, nearest_usable, window_frames
from childgait.vision.drawing import Side, draw_skeletons

if TYPE_CHECKING:
    from childgait.files.model_description import Facts
    from childgait.files.parts import Part
    from childgait.models.batch import Batch
    from childgait.models.registry import Model
    from childgait.models.table import Arrays
    from childgait.params import Finetune

PRUNED = 0.25  # brightness that a patch keeps which the network does not receive


@dataclass(frozen=True)
class ExaminedWindow:
    """The middle window of a recording, as pictures (T, S, S, 3)."""

    video: str
    target: str  # of the evidence: the shown item with the highest logit
    index: NDArray[np.int64]  # (T,) frames of the clip
    frames: NDArray[np.uint8]  # as the clip has them
    received: NDArray[np.uint8]  # with what is drawn on them, and dark where patches are left out
    evidence: Evidence


def examine_windows(
    model: Model, settings: Finetune, weights: Arrays, facts: Facts, part: Part, visible: NDArray[np.bool_]
) -> list[ExaminedWindow]:
    """Examine the middle window of every recording of a part; `visible` (rows, 34) are the items that each shows."""
    import torch

    network = trained_network(model, settings, weights, facts)
    windows = Windows(part.clips, part.atypical, loading_of(network, settings), windows_per_video=1)
    examined = []
    for row, clip in enumerate(part.clips):
        sample = windows[0, row]
        batch = collate([sample])
        with torch.inference_mode():
            logits = atypical_logits(network.eval()(batch))[0].double().numpy()
        target = int(np.where(visible[row], logits, -np.inf).argmax())
        frames, points = plain_window(part, row, windows.loading, clip.size)
        index = window_frames(sample.start, settings.frames, clip.length, settings.frame_step)
        index = nearest_usable(index, clip)
        near: Side = "left" if clip.view == "left" else "right"
        (evidence,) = evidence_of(network, windows.loading, batch, points, clip.size, [target])
        received = draw_received(frames, points, clip.masks(index), batch, windows.loading, settings.drawing, near)
        examined.append(ExaminedWindow(clip.video, TARGET_NAMES[target], index, frames, received, evidence))
    return examined


def draw_received(
    frames: NDArray[np.uint8],
    points: NDArray[np.float64],
    masks: NDArray[np.bool_],
    batch: Batch,
    loading: Loading,
    style: Drawing,
    near: Side,
) -> NDArray[np.uint8]:
    """Draw what a network receives of a window: frames, silhouettes or joints alone, and of frames the kept patches."""
    reads_frames = loading.packing is not None or "frames" in loading.inputs
    if not reads_frames:
        frames = np.repeat(masks[..., None].astype(np.uint8) * 255, 3, axis=3)
        if "silhouettes" not in loading.inputs:
            frames = np.zeros_like(frames)
    if loading.drawing is not None or "points" in loading.inputs:
        frames = draw_skeletons(frames, points.astype(np.float32), loading.drawing or style, near)
    if loading.packing is None or batch.packed is None:
        return frames
    kept = _kept_pixels(batch.packed.index.numpy(), frames.shape, loading)
    return np.where(kept, frames, frames * PRUNED).astype(np.uint8)


def _kept_pixels(index: NDArray[np.int64], shape: tuple[int, ...], loading: Loading) -> NDArray[np.bool_]:
    """Return (T, S, S, 1) which pixels lie in a kept patch."""
    from childgait.models.tokens import grid_of

    assert loading.packing is not None
    tubelet, patch = loading.packing.tubelet, loading.packing.patch
    t, h, w = grid_of(shape[0], shape[1], tubelet, patch)
    kept = np.zeros(t * h * w, bool)
    kept[index] = True
    for axis, times in enumerate((tubelet, patch, patch)):
        kept = np.repeat(kept.reshape(t, h, w) if axis == 0 else kept, times, axis=axis)
    return kept[..., None]
