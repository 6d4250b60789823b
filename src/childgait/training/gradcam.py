"""Evidence for a prediction, by one interface for all networks: patches, cells of a 3D convolution, or joints.

The gradient of one target's logit with respect to a network's `maps` gives the evidence. Where the maps are features
of a deep layer this is Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391): channels weighted by their mean gradient,
positive part. Where they are the input itself (`maps_are_inputs`) it is |gradient x input|. Either way `Evidence` is
an amount at places in the image, so that models can be compared:

- the share of it at the joints of an item, beside the share that uniform evidence would have there;
- a sanity check: the same for a network with random weights (Adebayo et al., "Sanity Checks for Saliency Maps", 2018).
Where
  the two agree in rank, the map shows the image and not what was learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES, TARGETS, Target
from childgait.domain.skeleton import INDEX, POINTS
from childgait.errors import StepError
from childgait.files.tables import Column, Table
from childgait.gait.feature_names import joints_of_item
from childgait.metrics.scores import sigmoid

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor

    from childgait.files.model_description import Facts
    from childgait.files.parts import Part
    from childgait.metrics.aggregate import WindowLogits
    from childgait.models.batch import Batch, InputName
    from childgait.models.network import Network
    from childgait.models.registry import Model
    from childgait.models.table import Arrays
    from childgait.params import Finetune
    from childgait.training.windows import Loading, Windows

Floats = NDArray[np.float64]
SHEET_FRAMES = 8
REACH = 1 / 7  # of the frame's side: a spot belongs to the nearest joint within this distance
FINE = 4  # spots per side of a cell

FOCUS = Table(
    "focus",
    ("video", "target"),
    (
        Column("video", "String", "name of the recording"),
        Column("target", "String", "limb and item, as L.IC"),
        Column("probability", "Float64", "of atypical, by this recording's middle window"),
        Column("share", "Float64", "of the evidence, at the joints the item is about; null where there is none"),
        Column("even", "Float64", "... if it were spread evenly over what the model sees"),
        Column("random_share", "Float64", "... of a network with random weights"),
        Column(
            "agreement", "Float64", "rank correlation with the evidence of random weights; near 0 is good; null: flat"
        ),
    ),
)


@dataclass(frozen=True)
class Evidence:
    """The evidence of one window for one target: an amount per place, at t moments."""

    amount: Floats  # (t, P), 0 or more; NaN: not an input of the model
    where: Floats  # (t, P, 2) pixels of the window's frames
    frames: NDArray[np.int64]  # (t,) the window's frame of each moment
    cell: int  # pixels per side of a patch or cell; 0: the places are the 23 joints


@dataclass(frozen=True)
class Shown:
    """Evidence drawn on the sheet, beside that of random weights."""

    video: str
    target: str
    trained: Evidence
    randomised: Evidence
    agreement: float | None


def evidence_maps(network: Network, batch: Batch, targets: list[int]) -> list[Tensor]:
    """Return per target the evidence of every place, as a tensor: (B, t, …) of maps, (N,) of packed patches."""
    import torch

    network.eval()
    with torch.enable_grad():
        maps = network.maps(batch).detach().requires_grad_()
        logits = network.logits_from_maps(maps, batch)
        collected = []
        for target in targets:
            (gradient,) = torch.autograd.grad(logits[:, target].sum(), maps, retain_graph=True)
            if network.maps_are_inputs:
                collected.append((gradient * maps).sum(dim=1).abs().detach())
            else:
                weights = gradient.flatten(2).mean(dim=2).view(*gradient.shape[:2], *[1] * (maps.ndim - 2))
                collected.append((weights * maps).sum(dim=1).relu().detach())
    return collected


def grad_cam(network: Network, batch: Batch, target: int) -> Floats:
    """Return the evidence for one target, (B, t, …)."""
    return np.asarray(evidence_maps(network, batch, [target])[0].double().cpu().numpy())


def evidence_of(
    network: Network, loading: Loading, batch: Batch, points: Floats, size: int, targets: list[int]
) -> list[Evidence]:
    """Return the evidence per target for a batch of one clip with keypoints `points` (T, 23, 3) in pixels."""
    assert batch.size == 1
    amounts = [one.double().cpu().numpy() for one in evidence_maps(network, batch, targets)]
    if loading.packing is not None:
        return [_at_patches(one, batch, loading, size) for one in amounts]
    if batch.rectangles is not None:
        rectangles = batch.rectangles[0].double().cpu().numpy()
        return [_at_crops(one[0], rectangles, size) for one in amounts]
    return [_at_joints(one[0], points) if one.ndim == 3 else _at_cells(one[0], len(points), size) for one in amounts]


def _at_patches(amount: Floats, batch: Batch, loading: Loading, size: int) -> Evidence:
    from childgait.models.tokens import grid_of

    assert batch.packed is not None
    assert loading.packing is not None
    t, h, w = grid_of(loading.frames, size, loading.packing.tubelet, loading.packing.patch)
    whole = np.full(t * h * w, np.nan)
    whole[batch.packed.index.cpu().numpy()] = amount
    return _at_cells(whole.reshape(t, h, w), loading.frames, size)


def _at_cells(amount: Floats, frames: int, size: int) -> Evidence:
    t, h, w = amount.shape
    middles = [(np.arange(count) + 0.5) * size / count - 0.5 for count in (h, w)]
    y, x = np.meshgrid(*middles, indexing="ij")
    where = np.broadcast_to(np.stack([x, y], axis=-1).reshape(1, h * w, 2), (t, h * w, 2))
    return Evidence(amount.reshape(t, h * w), where, _moments(t, frames), max(round(size / h), 1))


def _at_crops(amount: Floats, rectangles: Floats, size: int) -> Evidence:
    """Place the cells (t, h, w) of silhouettes in the clip's picture; `rectangles` (T, 4) are those of the crops,
    whose columns may lie outside the picture: these count at its edge."""
    t, h, w = amount.shape
    moments = _moments(t, len(rectangles))
    left, top, width, height = rectangles[moments].T[:, :, None, None]
    x = left + (np.arange(w) + 0.5) / w * width - 0.5
    y = top + (np.arange(h) + 0.5)[:, None] / h * height - 0.5
    where = np.stack(np.broadcast_arrays(x, y), axis=-1).reshape(t, h * w, 2).clip(0, size - 1)
    return Evidence(amount.reshape(t, h * w), where, moments, max(round(float(np.median(height)) / h), 1))


def _at_joints(amount: Floats, points: Floats) -> Evidence:
    moments = _moments(len(amount), len(points))
    there = points[moments]
    return Evidence(np.where(there[..., 2] > 0, amount, np.nan), there[..., :2], moments, 0)


def _moments(count: int, frames: int) -> NDArray[np.int64]:
    """Return the middle frame of each of `count` equal segments."""
    return np.floor((np.arange(count) + 0.5) * frames / count).astype(np.int64)


def joints_of_places(evidence: Evidence, points: Floats, size: int) -> Floats:
    """(t, P, 23) which part of each place belongs to each joint. A cell is wider than a knee, so it is looked at in
    `FINE` by `FINE` spots: a spot belongs to the nearest joint, if that is no farther than REACH, else to none."""
    if evidence.cell == 0:
        return np.broadcast_to(np.eye(len(POINTS)), (*evidence.amount.shape, len(POINTS)))
    there = points[evidence.frames]
    steps = ((np.arange(FINE) + 0.5) / FINE - 0.5) * evidence.cell
    spots = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    away = np.linalg.norm((evidence.where[:, :, None] + spots)[:, :, :, None] - there[:, None, None, :, :2], axis=-1)
    away = np.where((there[..., 2] > 0)[:, None, None], away, np.inf)
    nearest = np.eye(len(POINTS))[away.argmin(axis=3)] * (away.min(axis=3) <= REACH * size)[..., None]
    return np.asarray(nearest.mean(axis=2))


def share_on(evidence: Evidence, belongs: Floats, target: Target) -> tuple[float | None, float | None]:
    """Return the share of the evidence at the target's joints, and the share that uniform evidence would have."""
    about = belongs[..., [INDEX[joint] for joint in joints_of_item(target.code, target.limb)]].sum(axis=2)
    seen = np.isfinite(evidence.amount)
    whole = evidence.amount[seen].sum()
    if not seen.any() or whole <= 0:
        return None, None
    return float((evidence.amount * about)[seen].sum() / whole), float(about[seen].mean())


def agreement_of(one: Evidence, two: Evidence) -> float | None:
    """Return the rank correlation over the places of both; None where one of them is constant."""
    from scipy.stats import spearmanr

    seen = np.isfinite(one.amount) & np.isfinite(two.amount)
    first, second = one.amount[seen], two.amount[seen]
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return round(float(spearmanr(first, second).statistic), 4)


@dataclass(frozen=True)
class Explained:
    """One recording of a child: its window, the network's logits, and the evidence of both networks."""

    video: str
    logits: Floats  # (34,) NaN where the recording shows no such item
    frames: NDArray[np.uint8]
    points: Floats
    targets: list[int]
    trained: list[Evidence]  # per target
    randomised: list[Evidence]


def explain(
    model: Model,
    settings: Finetune,
    weights: Arrays,
    facts: Facts,
    part: Part,
    window_logits: WindowLogits,
    children: int,
    seed: int,
) -> tuple[pl.DataFrame, list[Shown], NDArray[np.uint8]]:
    """Explain the predictions for the first `children` of a part.

    Returns FOCUS, one row per recording and item it shows; and per child the evidence on the sheet, of the item with
    the highest predicted probability, and the sheet.
    """
    import polars as pl

    from childgait.training.predict import loading_of
    from childgait.training.windows import Windows

    pair = _networks(model, settings, weights, facts, seed)
    windows = Windows(part.clips, part.atypical, loading_of(pair[0], settings), windows_per_video=1)
    subjects = part.table["subject"].to_numpy()
    logits = np.full(part.atypical.shape, np.nan)
    logits[window_logits.rows] = window_logits.logits
    rows, entries, strips = [], [], []
    for subject in sorted(set(subjects))[:children]:
        best: tuple[float, Shown, NDArray[np.uint8]] | None = None
        for row in np.flatnonzero(subjects == subject).tolist():
            recording = _explain_recording(pair, part, windows, row, logits[row])
            for logit, entry, shares in _compare(recording, facts["pixels"]):
                probability = float(sigmoid(np.array(logit)))
                rows.append((entry.video, entry.target, probability, *shares, entry.agreement))
                if best is None or logit > best[0]:
                    best = (logit, entry, recording.frames)
        if best is not None:
            entries.append(best[1])
            strips += [draw_on_frames(best[2], one) for one in (best[1].trained, best[1].randomised)]
    if not entries:
        raise StepError(
            "no recording of these children has a known item", hint="give another --part, or more --children"
        )
    return pl.DataFrame(rows, schema=FOCUS.schema(), orient="row"), entries, np.concatenate(strips)


def _explain_recording(
    pair: tuple[Network, Network], part: Part, windows: Windows, row: int, logits: Floats
) -> Explained:
    """Compute the evidence of both networks for every known item of one recording's middle window."""
    from childgait.training.windows import collate

    targets = np.flatnonzero(~np.isnan(part.atypical[row])).tolist()
    batch = collate([windows[0, row]])
    loading, size = windows.loading, part.clips[row].size
    frames, points = plain_window(part, row, loading, size)
    trained, randomised = (evidence_of(network, loading, batch, points, size, targets) for network in pair)
    return Explained(str(part.table["video"][row]), logits, frames, points, targets, trained, randomised)


Shares = tuple[float | None, float | None, float | None]  # trained, uniform, random weights


def _compare(recording: Explained, size: int) -> Iterator[tuple[float, Shown, Shares]]:
    """Yield per target its logit, the evidence of both networks, and their shares at the item's joints."""
    if not recording.targets:
        return
    belongs = joints_of_places(recording.trained[0], recording.points, size)  # the same for all targets
    for target, trained, fresh in zip(recording.targets, recording.trained, recording.randomised, strict=True):
        share, even = share_on(trained, belongs, TARGETS[target])
        random_share, _ = share_on(fresh, belongs, TARGETS[target])
        entry = Shown(recording.video, TARGET_NAMES[target], trained, fresh, agreement_of(trained, fresh))
        yield float(recording.logits[target]), entry, (share, even, random_share)


def _networks(model: Model, settings: Finetune, weights: Arrays, facts: Facts, seed: int) -> tuple[Network, Network]:
    """Return the trained network, and one with random weights."""
    import torch

    network = trained_network(model, settings, weights, facts)
    torch.manual_seed(seed)
    return network, model.build(settings, facts["pixels"])


def trained_network(model: Model, settings: Finetune, weights: Arrays, facts: Facts) -> Network:
    """Return the trained network; fail for a model that has no evidence at places of a picture."""
    import torch

    network = None if model.kind == "table" else model.build(settings, facts["pixels"])
    if network is None or not network.inputs & {"frames", "silhouettes", "points"}:
        raise StepError(
            f"{model.name} reads neither pictures nor joints", hint="evidence is computed for networks that do"
        )
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    return network


def plain_window(part: Part, row: int, loading: Loading, size: int) -> tuple[NDArray[np.uint8], Floats]:
    """Return the window's frames (black in a study of keypoints) and keypoints, without drawing and pruning."""
    from childgait.training.windows import Windows

    has_frames = part.clips[row].path("frames").exists()
    wanted: frozenset[InputName] = frozenset({"frames", "points"}) if has_frames else frozenset({"points"})
    plain = Windows(
        part.clips, part.atypical, replace(loading, drawing=None, packing=None, inputs=wanted), windows_per_video=1
    )
    sample = plain[0, row]
    assert sample.points is not None
    black = np.zeros((len(sample.points), size, size, 3), np.uint8)
    return black if sample.frames is None else sample.frames, sample.points.astype(np.float64)


def draw_on_frames(frames: NDArray[np.uint8], evidence: Evidence) -> NDArray[np.uint8]:
    """Draw evidence on a strip of frames, relative to its largest amount; grey where the model has no input."""
    share = np.nan_to_num(evidence.amount / max(float(np.nanmax(evidence.amount, initial=0.0)), 1e-12))
    places = np.unique(np.linspace(0, len(frames) - 1, SHEET_FRAMES).round().astype(int))
    nearest = np.abs(evidence.frames[None] - places[:, None]).argmin(axis=1)
    strip = []
    for frame, moment in zip(places, nearest, strict=True):
        picture = frames[frame].astype(float)
        tint, unseen = np.zeros(picture.shape[:2]), np.zeros(picture.shape[:2], bool)
        radius = evidence.cell / 2 if evidence.cell else max(picture.shape[0] / 28, 1.0)
        for place, amount, seen in zip(
            evidence.where[moment], share[moment], np.isfinite(evidence.amount[moment]), strict=True
        ):
            if evidence.cell == 0 and not seen:
                continue
            low, high = (np.clip(np.ceil(place + end - 1e-6), 0, None).astype(int) for end in (-radius, radius))
            box = (slice(low[1], high[1]), slice(low[0], high[0]))
            tint[box] = np.maximum(tint[box], amount)
            unseen[box] |= not seen
        tinted = picture * (1 - 0.6 * tint[..., None]) + np.array([255.0, 64.0, 0.0]) * 0.6 * tint[..., None]
        strip.append(np.where(unseen[..., None], picture.mean(axis=2, keepdims=True) * 0.5, tinted))
    return np.concatenate(strip, axis=1).round().astype(np.uint8)
