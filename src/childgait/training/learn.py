"""Fit any model of the registry, and let it judge: networks window by window, table models child by child.

`Part` is a part table with its clips. `fit` yields arrays for a safetensors file; `predict` yields one row a window:
the part's row number, the window's first frame, and 34 logits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.clips import Clip, clips_by_video, open_clip
from childgait.files.parts import atypical_of, read_part
from childgait.models.registry import Model
from childgait.training.features import FEATURES, answers_of_children, children_of, labels_of_children

if TYPE_CHECKING:
    import polars as pl
    from torch import Tensor, nn

    from childgait.params import Finetune
    from childgait.training.clips import Loading, Windows
    from childgait.training.group import Group
    from childgait.training.loop import OnEpoch, Outcome
    from childgait.training.mean_teacher import MeanTeacher

CURVES = (
    "epoch",
    "learning_rate",
    "loss",
    "gradient",
    "learning",
    "validation_loss",
    "validation_balanced_accuracy",
)

log = logging.getLogger("childgait")


@dataclass(frozen=True)
class Part:
    """A part table and the clips of its rows."""

    table: pl.DataFrame
    clips: list[Clip]
    answers: NDArray[np.float32] | None = None  # (rows, K) what is to be learnt in place of the 34 items

    @property
    def atypical(self) -> NDArray[np.float32]:
        return atypical_of(self.table) if self.answers is None else self.answers

    def filter(self, rows: list[bool]) -> Part:
        """Those rows alone."""
        clips = [clip for clip, stays in zip(self.clips, rows, strict=True) if stays]
        return Part(self.table.filter(rows), clips, None if self.answers is None else self.answers[np.array(rows)])


@dataclass(frozen=True)
class Learnt:
    weights: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    kept_epoch: int
    facts: dict[str, Any]  # what the model's file says beside the weights


@dataclass(frozen=True)
class Judged:
    """One row a window."""

    rows: NDArray[np.int64]  # of the part table
    starts: NDArray[np.int64]  # first frame
    logits: NDArray[np.float64]  # (windows, 34)


def open_part(path: Path, clip_files: list[Path]) -> Part:
    """The part with its clips; a row whose clip is not among the files stops here."""
    table = read_part(path)
    if table.is_empty():
        raise StepError(f"{path} has no rows", hint="look at data/split_subjects/subjects.csv: who is in this part?")
    named = {file.name.removesuffix(".clip.json"): file for file in clip_files}
    missing = [video for video in table["video"] if video not in named]
    if missing:
        raise StepError(
            f"{path} names {len(missing)} video(s) whose clips were not given, first {missing[0]}",
            hint="give --clips the .clip.json of every video of the part",
        )
    opened = clips_by_video([named[video] for video in table["video"]])
    return Part(table, [opened[video] for video in table["video"]])


def fit_table(model: Model, settings: Finetune, train: Part, *, seed: int) -> Learnt:
    built = model.build(settings, 0)
    features = FEATURES[built.features](train.table, {clip.video: clip for clip in train.clips})
    weights = built.fit(features, labels_of_children(train.table), seed)
    facts: dict[str, Any] = {"learns": sum(np.size(value) for value in weights.values())}
    if "importance" in weights:
        from childgait.gait.numbers import NAMES
        from childgait.models.kinematic_trees import important

        facts["importance"] = important(weights, NAMES)
    return Learnt(weights, [], 0, facts)


def fit_network(
    model: Model,
    settings: Finetune,
    train: Part,
    validation: Part,
    *,
    seed: int,
    save_as: Path,
    fingerprint: str,
    on_epoch: OnEpoch,
    unlabelled: list[Clip] | None = None,
) -> Learnt:
    """Train in this process, or together with those that torchrun started beside it. `unlabelled` is the mean teacher's
    pool, which may hold training children's clips besides."""
    import torch

    from childgait.training.clips import Windows
    from childgait.training.contributions import choose_numbers
    from childgait.training.group import join_group, leave_group

    prepare_torch(settings)
    group = join_group(settings.device)
    try:
        torch.manual_seed(seed)
        pixels = one_size(train.clips + validation.clips)
        network = model.build(settings, pixels)
        everybody, train = train, labelled_part(train, settings.mean_teacher.labelled, seed)
        weights, prior = start_at_shares(network, train, settings)
        origin = load_start(network, settings)
        same: dict[str, Any] = {"weights": weights, "seed": seed, "group": group, "fingerprint": fingerprint}
        loading = loading_of(network, settings)
        found = choose_numbers(
            network,
            Windows(train.clips, train.atypical, loading, views=1),
            settings,
            seed,
            prior,
            lambda one, how: teach(one, train, validation, how, save_as=first_state(save_as), **same),
        )
        pool = make_pool(everybody, train, unlabelled or [], loading, weights, settings, seed, group)
        outcome = teach(network, train, validation, settings, save_as=save_as, on_epoch=on_epoch, pool=pool, **same)
        first_state(save_as).unlink(missing_ok=True)
    finally:
        leave_group(group)
    facts = {
        "pixels": pixels,
        "weights_from": origin,
        "parameters": sum(p.numel() for p in network.parameters()),
        "positive_weights": [round(float(weight), 6) for weight in weights],
    }
    if pool is not None:
        facts |= {"labelled_clips": len(train.clips), "pool_clips": pool.visits.count}
    facts |= found
    return Learnt({k: v.numpy() for k, v in outcome.weights.items()}, outcome.history, outcome.kept_epoch, facts)


def start_at_shares(network: nn.Module, train: Part, settings: Finetune) -> tuple[NDArray[np.float32], Tensor]:
    """Let the network begin without an opinion; the weights of atypical cells, and the shares it begins at."""
    import torch

    from childgait.training.optim import positive_weights, weighted_shares

    labels = answers_of_children(train.table, train.atypical)
    weights = positive_weights(labels, settings.positive_weight_cap)
    prior = torch.from_numpy(weighted_shares(labels, weights))
    begin: Any = getattr(network, "start_at", None)
    if begin is not None:
        begin(prior)
    return weights, prior


def teach(
    network: nn.Module,
    train: Part,
    validation: Part,
    settings: Finetune,
    *,
    weights: NDArray[np.float32],
    seed: int,
    group: Group,
    save_as: Path,
    fingerprint: str,
    on_epoch: OnEpoch = lambda row, speed: None,
    pool: MeanTeacher | None = None,
) -> Outcome:
    """Train a network that is ready to begin."""
    from childgait.training.clips import Windows, collate
    from childgait.training.loop import train as run

    loading, videos = loading_of(network, settings), train.table["video"].to_list()
    windows = Windows(
        train.clips, train.atypical, loading, seed=seed, augmentation=augmentation_of(settings), anchor=settings.anchor
    )
    judge = make_judge(validation, loading, weights, settings, group.device)
    return run(
        network,
        windows,
        collate,
        weights,
        judge,
        settings,
        seed=seed,
        group=group,
        save_as=save_as,
        fingerprint=fingerprint,
        on_epoch=on_epoch,
        name_of=lambda row: videos[row],
        pool=pool,
    )


def first_state(save_as: Path) -> Path:
    """Where the network that is taught before the real one keeps its state."""
    return save_as.with_name(f"first-{save_as.name}")


def labelled_part(train: Part, share: float, seed: int) -> Part:
    """The clips of that share of the training children whose scores are used, drawn by the seed; all of them at 1."""
    if share == 1:
        return train
    children = children_of(train.table)
    count = max(round(share * len(children)), 1)
    chosen = set(np.random.default_rng([seed, count]).choice(children, count, replace=False).tolist())
    rows = [subject in chosen for subject in train.table["subject"]]
    return train.filter(rows)


def make_pool(
    everybody: Part,
    labelled: Part,
    unlabelled: list[Clip],
    loading: Loading,
    weights: NDArray[np.float32],
    settings: Finetune,
    seed: int,
    group: Group,
) -> MeanTeacher | None:
    """The mean teacher with its clips, where there is to be one: children without scores, training children whose scores
    are not used, and, if asked, all training children, their scores aside."""
    how = settings.mean_teacher
    if how.pool == "none":
        return None
    from childgait.training.clips import Windows
    from childgait.training.mean_teacher import MeanTeacher, TwoViews, shown_by_view

    used = {clip.video for clip in labelled.clips}
    clips = unlabelled + [clip for clip in everybody.clips if how.pool == "training" or clip.video not in used]
    shown = shown_by_view(everybody.atypical, [clip.view for clip in everybody.clips])
    clips = [clip for clip in clips if clip.view in shown]  # of another view nobody knows which items it shows
    if not clips:
        raise StepError(
            "the mean teacher has no clips: no child is without scores, and all training children's scores are used",
            hint="set finetune.mean_teacher.pool to training, or to none",
        )
    labels = np.stack([shown[clip.view] for clip in clips])
    windows = Windows(clips, labels, loading, seed=seed, anchor=settings.anchor)
    return MeanTeacher(TwoViews(windows, settings.changes.flip, how), weights, settings, seed, group)


def prepare_torch(settings: Finetune) -> None:
    """The same bytes again: threads from params (sums depend on their number), deterministic kernels where asked.

    On a GPU some kernels have no deterministic form (the backward of fused attention adds in any order): torch warns and
    uses them, so runs there agree but for rounding.
    """
    import os

    import torch

    torch.set_num_threads(settings.threads)
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=settings.device == "cuda")


def one_size(clips: list[Clip]) -> int:
    sizes = sorted({clip.size for clip in clips})
    if len(sizes) > 1:
        raise StepError(f"the clips are of {len(sizes)} sizes: {sizes} pixels", hint="run prepare_clips again for all")
    return sizes[0]


def load_start(network: nn.Module, settings: Finetune) -> str:
    """Put published or pre-trained weights into the network; where they come from, in words."""
    if not settings.weights:
        return "from scratch"
    own_way: Any = getattr(network, "load_published", None)
    if own_way is not None:
        own_way(Path(settings.weights), settings.weights_sha256)
    else:
        from childgait.models.checkpoints import load_checkpoint

        load_checkpoint(network, Path(settings.weights), settings.weights_sha256)
    return f"{Path(settings.weights).name} (sha256 {settings.weights_sha256})"


def loading_of(network: nn.Module, settings: Finetune) -> Loading:
    """What the loader shows this network: the same in training and in judging."""
    from childgait.training.clips import Loading
    from childgait.vision.drawing import Style

    style = Style(**settings.drawing.model_dump()) if getattr(network, "prompted", False) else None
    packing = getattr(network, "packing", None)
    ingredients: Any = network.ingredients
    return Loading(settings.frames, ingredients, style, packing)


def augmentation_of(settings: Finetune) -> Any:
    from childgait.training.augmentation import Augmentation

    return Augmentation(**settings.changes.model_dump())


def make_judge(
    validation: Part, loading: Loading, weights: NDArray[np.float32], settings: Finetune, device: str
) -> Callable[[nn.Module], dict[str, float]]:
    """What is measured after every epoch on the validation children: the loss, and mean balanced accuracy."""
    from childgait.training.clips import Windows
    from childgait.training.metrics import balanced_accuracy
    from childgait.training.predictions import mean_by_child

    windows = Windows(validation.clips, validation.atypical, loading, views=settings.validation_views)
    loader = loader_of(windows, settings, device)  # one for all epochs: its workers stay
    truth = answers_of_children(validation.table, validation.atypical)
    subjects = validation.table["subject"].to_numpy()

    def judge(network: nn.Module) -> dict[str, float]:
        judged = judge_loader(network, loader, settings, device)
        visible = ~np.isnan(validation.atypical)[judged.rows]
        logits = mean_by_child(judged.logits, visible, subjects[judged.rows], children_of(validation.table))
        known = ~np.isnan(truth) & ~np.isnan(logits)
        signed = np.where(truth == 1, -logits, logits)[known]
        loss = np.logaddexp(0, signed) * np.where(truth == 1, weights, 1)[known]
        accuracy = balanced_accuracy(logits, truth)
        return {
            "validation_loss": float(loss.mean()) if known.any() else float("nan"),
            "validation_balanced_accuracy": float(np.nanmean(accuracy))
            if not np.isnan(accuracy).all()
            else float("nan"),
        }

    return judge


def judge_windows(network: nn.Module, windows: Windows, settings: Finetune, device: str) -> Judged:
    """The network's logits for every window, in the windows' order."""
    return judge_loader(network, loader_of(windows, settings, device), settings, device)


def loader_of(windows: Windows, settings: Finetune, device: str) -> Any:
    """Every window once, in order."""
    from childgait.training.clips import make_loader

    return make_loader(
        windows, batch_size=settings.clips_at_once, workers=settings.workers, shuffle=False, pin_memory=device != "cpu"
    )[0]


def judge_loader(network: nn.Module, loader: Any, settings: Finetune, device: str) -> Judged:
    import torch

    from childgait.training.loop import half_precision

    rows, starts, logits, filled = [], [], [], 0
    network.eval()
    with torch.inference_mode(), half_precision(settings, device):
        for batch in loader:
            logits.append(network(batch.to(device)).double().cpu().numpy())
            rows.append(batch.rows.numpy())
            starts.append(batch.windows.numpy())
            filled += batch.filled
    if filled:
        log.info(
            "%d patches of %d windows were kept only so that none has too few: their masks are small or empty",
            filled,
            sum(map(len, rows)),
        )
    return Judged(np.concatenate(rows), np.concatenate(starts), np.concatenate(logits))


def predict(
    model: Model, settings: Finetune, weights: dict[str, Any], facts: dict[str, Any], part: Part, views: int
) -> Judged:
    """What a trained model says about every window of a part."""
    if model.kind == "table":
        built = model.build(settings, 0)
        features = FEATURES[built.features](part.table, {clip.video: clip for clip in part.clips})
        of_child = built.predict({name: np.asarray(value) for name, value in weights.items()}, features)
        place = {subject: number for number, subject in enumerate(children_of(part.table))}
        rows = np.arange(part.table.height)
        logits = of_child[[place[subject] for subject in part.table["subject"]]]
        return Judged(rows, np.zeros_like(rows), logits)
    import torch

    from childgait.training.clips import Windows

    settings = to_judge(model, settings)
    prepare_torch(settings)
    network = model.build(settings, facts["pixels"])
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    network.to(settings.device)
    windows = Windows(part.clips, part.atypical, loading_of(network, settings), views=views)
    return judge_windows(network, windows, settings, settings.device)


def settings_from(told: dict[str, Any]) -> Finetune:
    """The settings that a trained model's description keeps; which runs a study has is not among them."""
    from childgait.params import Finetune

    study = {"models": [told["model"]], "folds": [told["fold"]], "seeds": [told["seed"]], "overrides": {}}
    return Finetune.model_validate(study | told["settings"])


def to_judge(model: Model, settings: Finetune) -> Finetune:
    """What learnt on a GPU may judge without one, more slowly and but for rounding the same; to learn it needs one."""
    if settings.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            log.warning("%s learnt on a GPU, and torch finds none here: it judges on the CPU", model.name)
            return settings.model_copy(update={"device": "cpu"})
    return settings


def probabilities_of_clips(
    told: dict[str, Any], weights: dict[str, Any], clip_files: list[Path]
) -> NDArray[np.float64]:
    """(clips, 34) for clips of anybody, without labels: the mean logit over a clip's windows, as a probability."""
    import polars as pl

    from childgait.files.parts import PARTS
    from childgait.models.registry import find_model
    from childgait.training.metrics import sigmoid
    from childgait.training.predictions import mean_by_video

    clips = [open_clip(path) for path in clip_files]
    rows = [{"video": clip.video, "subject": clip.video.split("-", 1)[0], "view": clip.view} for clip in clips]
    table = pl.DataFrame(rows, schema=PARTS.schema())
    judged = predict(find_model(told["model"]), settings_from(told), weights, told["facts"], Part(table, clips), 4)
    return sigmoid(mean_by_video(judged, len(clips)))
