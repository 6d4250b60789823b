"""Fits any model of the registry: networks by gradient descent on windows, table models on features per child.

Returns the arrays of a safetensors file, the learning curve, and facts for the model's description.
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
from childgait.files.clips import Clip
from childgait.files.parts import Part, children_of, labels_of_children, targets_by_child
from childgait.models.registry import Model
from childgait.training.features import FEATURES
from childgait.training.predict import loader_of, loading_of, predict_loader, prepare_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from childgait.models.network import Network
    from childgait.params import Finetune
    from childgait.training.distributed import Group
    from childgait.training.loop import OnEpoch, Outcome
    from childgait.training.mean_teacher import MeanTeacher
    from childgait.training.windows import Loading

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
class FitResult:
    weights: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    kept_epoch: int
    facts: dict[str, Any]  # what the model's file says beside the weights


def fit_table(model: Model, settings: Finetune, train: Part, *, seed: int) -> FitResult:
    built = model.build_table(settings)
    features = FEATURES[built.features](train.table, {clip.video: clip for clip in train.clips})
    weights = built.fit(features, labels_of_children(train.table), seed)
    facts: dict[str, Any] = {"learns": sum(np.size(value) for value in weights.values())}
    if "importance" in weights:
        from childgait.gait.feature_names import NAMES
        from childgait.models.kinematic_trees import largest_importances

        facts["importance"] = largest_importances(weights, NAMES)
    return FitResult(weights, [], 0, facts)


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
    pretrained: Path | None = None,
) -> FitResult:
    """Train in this process, or together with those that torchrun started beside it. `unlabelled` is the mean teacher's
    pool, which may hold training children's clips besides."""
    import torch

    from childgait.training.distributed import join_group, leave_group
    from childgait.training.joint_importance import choose_numbers
    from childgait.training.windows import Windows

    prepare_torch(settings)
    group = join_group(settings.device)
    try:
        torch.manual_seed(seed)
        pixels = one_size(train.clips + validation.clips)
        network = model.build(settings, pixels)
        everybody, train = train, labelled_part(train, settings.mean_teacher.labelled, seed)
        weights, prior = set_class_prior(network, train, settings)
        origin, taught = load_start(model, network, settings, pixels, pretrained)
        same: dict[str, Any] = {"weights": weights, "seed": seed, "group": group, "fingerprint": fingerprint}
        loading = loading_of(network, settings)
        found = choose_numbers(
            network,
            Windows(train.clips, train.atypical, loading, windows_per_video=1),
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
        "pretrained": taught,
        "parameters": sum(p.numel() for p in network.parameters()),
        "positive_weights": [round(float(weight), 6) for weight in weights],
    }
    if pool is not None:
        facts |= {"labelled_clips": len(train.clips), "pool_clips": pool.visits.count}
    facts |= found
    return FitResult({k: v.numpy() for k, v in outcome.weights.items()}, outcome.history, outcome.kept_epoch, facts)


def set_class_prior(network: Network, train: Part, settings: Finetune) -> tuple[NDArray[np.float32], Tensor]:
    """Let the network begin without an opinion; the weights of atypical cells, and the shares it begins at."""
    import torch

    from childgait.training.optim import positive_weights, weighted_shares

    labels = targets_by_child(train.table, train.atypical)
    weights = positive_weights(labels, settings.positive_weight_cap)
    prior = torch.from_numpy(weighted_shares(labels, weights))
    network.set_prior_bias(prior)
    return weights, prior


def teach(
    network: Network,
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
    from childgait.training.loop import train as run
    from childgait.training.windows import Windows, collate

    loading, videos = loading_of(network, settings), train.table["video"].to_list()
    windows = Windows(
        train.clips, train.atypical, loading, seed=seed, augmentation=settings.augmentation, anchor=settings.anchor
    )
    judge = make_validator(validation, loading, weights, settings, group.device)
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
    """The mean teacher with its clips, where there is to be one: children without scores, training children whose
    scores are not used, and, if asked, all training children, their scores aside."""
    how = settings.mean_teacher
    if how.pool == "none":
        return None
    from childgait.training.mean_teacher import MeanTeacher, TwoViews, shown_by_view
    from childgait.training.windows import Windows

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
    return MeanTeacher(TwoViews(windows, settings.augmentation.flip, how), weights, settings, seed, group)


def one_size(clips: list[Clip]) -> int:
    sizes = sorted({clip.size for clip in clips})
    if len(sizes) > 1:
        raise StepError(f"the clips are of {len(sizes)} sizes: {sizes} pixels", hint="run prepare_clips again for all")
    return sizes[0]


def load_start(
    model: Model, network: Network, settings: Finetune, pixels: int, pretrained: Path | None = None
) -> tuple[str, dict[str, Any] | None]:
    """Put published or pre-trained weights into the network; where they come from, in words, and what taught them.

    `pretrained` is the checkpoint of this study's stage pretrain; it goes before finetune.weights.
    """
    from childgait.files.pretrained import SHIPPED_NAME, description_of, shipped_checkpoint
    from childgait.models.pretrained import check_same_network, describe_network, load_pretrained, read_pretrained

    start = pretrained
    if start is None and settings.weights == SHIPPED_NAME:
        start = shipped_checkpoint(model.name)
    if start is None and settings.weights and description_of(Path(settings.weights)).is_file():
        start = Path(settings.weights)
    if start is not None:
        found = read_pretrained(start)
        study = describe_network(network, settings, pixels, settings.frame_step)
        check_same_network(found, study)
        load_pretrained(network, found)
        summary = found.summary()
        origin = "pre-trained on {children} synthetic children ({windows} windows, seed {seed})".format(**summary)
        return origin, summary
    if settings.head == "measures":
        raise StepError(
            f"finetune.head is measures, but {model.name} starts without a checkpoint that predicts them",
            hint=f"name {model.name} in pretrain.models, set finetune.weights to {SHIPPED_NAME}, "
            "or choose another head",
        )
    if not settings.weights:
        return "from scratch", None
    network.load_published(Path(settings.weights), settings.weights_sha256)
    return f"{Path(settings.weights).name} (sha256 {settings.weights_sha256})", None


def make_validator(
    validation: Part, loading: Loading, weights: NDArray[np.float32], settings: Finetune, device: str
) -> Callable[[nn.Module], dict[str, float]]:
    """What is measured after every epoch on the validation children: the loss, and mean balanced accuracy."""
    from childgait.metrics.aggregate import mean_by_child
    from childgait.metrics.scores import balanced_accuracy
    from childgait.training.windows import Windows

    windows = Windows(validation.clips, validation.atypical, loading, windows_per_video=settings.validation_windows)
    loader = loader_of(windows, settings, device)  # one for all epochs: its workers stay
    truth = targets_by_child(validation.table, validation.atypical)
    subjects = validation.table["subject"].to_numpy()

    def judge(network: nn.Module) -> dict[str, float]:
        judged = predict_loader(network, loader, settings, device)
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
