"""Fits any model of the registry: networks by gradient descent on windows, table models on features per child.

Returns the arrays of a safetensors file, the learning curve, and facts for the model's description.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.clips import Clip
from childgait.files.model_description import Facts, PretrainingSummary
from childgait.files.parts import Part, children_of, labels_of_children, targets_by_child
from childgait.models.registry import Model
from childgait.training.features import features_for
from childgait.training.leak_checks import check_not_pretrained_on
from childgait.training.predict import loader_of, loading_of, predict_loader, prepare_torch

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.data import Dataset

    from childgait.models.batch import Batch
    from childgait.models.network import Network
    from childgait.params import Finetune
    from childgait.training.auxiliary_losses import AuxiliaryLosses
    from childgait.training.distillation import Teacher
    from childgait.training.distributed import Group
    from childgait.training.loop import OnEpoch, Outcome
    from childgait.training.mean_teacher import UnlabelledPool
    from childgait.training.teacher_run import TeacherRun
    from childgait.training.windows import Loading, Windows

CURVES = (
    "epoch",
    "learning_rate",
    "loss",
    "gradient",
    "learning",
    "validation_loss",
    "validation_balanced_accuracy",
)


@dataclass(frozen=True)
class FitResult:
    """A fitted model."""

    weights: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    kept_epoch: int
    facts: Facts
    pretrained: PretrainingSummary | None = None  # the checkpoint that training started from


def fit_table(model: Model, settings: Finetune, train: Part, *, seed: int) -> FitResult:
    """Fit a table model to the training children."""
    table = model.build_table(settings)
    labels = train.atypical if table.unit == "clip" else labels_of_children(train.table)
    weights = table.fit(features_for(table, train, settings), labels, seed)
    facts: Facts = {"learns": int(sum(np.size(value) for value in weights.values()))}
    balance = table.positive_weights(labels)
    if balance is not None:
        facts["positive_weights"] = [round(float(weight), 6) for weight in balance]
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
    teacher: TeacherRun | None = None,
) -> FitResult:
    """Train a network in this process, or together with those that torchrun started beside it.

    `save_as` is the checkpoint of the run that `fingerprint` identifies, `pretrained` one of pre-training. `unlabelled`
    are clips for a mean teacher's pool, which may contain training children's clips, too. `teacher` is the run that
    params distil from.
    """
    import torch

    from childgait.training.distributed import join_group, leave_group
    from childgait.training.joint_importance import select_features
    from childgait.training.precision import resolve_precision
    from childgait.training.windows import Windows

    settings = resolve_precision(settings)
    prepare_torch(settings)
    group = join_group(settings.device)
    try:
        torch.manual_seed(seed)
        pixels = one_size(train.clips + validation.clips)
        network = model.build(settings, pixels)
        labelled = labelled_part(train, settings.mean_teacher.labelled, seed)
        weights, prior = set_class_prior(network, labelled, settings)
        origin, summary = load_start(model, network, settings, pixels, pretrained)
        children = [clip.subject for clip in train.clips + validation.clips]
        check_not_pretrained_on(pretrained or settings.weights, summary, children)
        fitting = Fitting(labelled, validation, weights, seed, group, fingerprint)
        loading = loading_of(network, settings)
        selection = select_features(
            network,
            Windows(labelled.clips, labelled.atypical, loading, windows_per_video=1),
            settings,
            seed,
            prior,
            lambda first, shorter: fitting.run(first, shorter, save_as=first_network(save_as)),
        )
        pool = make_pool(train, labelled, unlabelled or [], loading, weights, settings, seed, group)
        auxiliary = make_auxiliary(network, labelled, settings, teacher, group)
        outcome = fitting.run(network, settings, save_as=save_as, on_epoch=on_epoch, pool=pool, auxiliary=auxiliary)
        if auxiliary is not None:
            auxiliary.remove()
        first_network(save_as).unlink(missing_ok=True)
    finally:
        leave_group(group)
    facts: Facts = {
        "pixels": pixels,
        "weights_from": origin,
        "parameters": sum(p.numel() for p in network.parameters()),
        "positive_weights": [round(float(weight), 6) for weight in weights],
        **pool.facts(len(labelled.clips)),  # type: ignore[typeddict-item]
        **({} if teacher is None else {"teacher": teacher.words()}),
        **selection,
    }
    arrays = {name: value.numpy() for name, value in outcome.weights.items()}
    return FitResult(arrays, outcome.history, outcome.kept_epoch, facts, summary)


@dataclass(frozen=True)
class Fitting:
    """What all networks of one run share: the children, the loss's weights, seed, processes and fingerprint."""

    train: Part
    validation: Part
    weights: NDArray[np.float32]  # (34,) of atypical scores
    seed: int
    group: Group
    fingerprint: str

    def run(
        self,
        network: Network,
        settings: Finetune,
        *,
        save_as: Path,
        on_epoch: OnEpoch = lambda row, speed: None,
        pool: UnlabelledPool | None = None,
        auxiliary: AuxiliaryLosses | None = None,
    ) -> Outcome:
        """Train a network whose initial weights are set."""
        from childgait.training.loop import Trainer
        from childgait.training.losses import training_labels
        from childgait.training.windows import Windows

        loading, videos = loading_of(network, settings), self.train.table["video"].to_list()
        windows = Windows(
            self.train.clips,
            training_labels(self.train, settings),
            loading,
            seed=self.seed,
            augmentation=settings.augmentation,
            anchor=settings.anchor,
            mirrored=self.train.mirrored,
        )
        dataset, collate = dataset_of(windows, settings, None if auxiliary is None else auxiliary.teacher)
        trainer = Trainer(
            network,
            dataset,
            make_validator(self.validation, loading, self.weights, settings, self.group),
            settings,
            positive_weights=self.weights,
            seed=self.seed,
            group=self.group,
            pool=pool,
            auxiliary=auxiliary,
            collate=collate,
            name_of=lambda row: videos[row],
        )
        return trainer.run(save_as, self.fingerprint, on_epoch)


def dataset_of(
    windows: Windows, settings: Finetune, teacher: Teacher | None
) -> tuple[Dataset[Any], Callable[[list[Any]], Batch]]:
    """Return what a training step loads per clip (a window, several, or one with the teacher's), and its collation."""
    from childgait.training.distillation import TeacherWindows, collate_with_teacher
    from childgait.training.windows import Windows, WindowSets, collate, collate_sets

    if teacher is not None:
        return TeacherWindows(windows, Windows(windows.clips, windows.labels, teacher.loading)), collate_with_teacher
    if settings.training_windows > 1:
        return WindowSets(windows, settings.training_windows), collate_sets
    return windows, collate


def make_auxiliary(
    network: Network, train: Part, settings: Finetune, run: TeacherRun | None, group: Group
) -> AuxiliaryLosses | None:
    """Return the losses on features that params switch on, from the training children; None for none."""
    from childgait.training.auxiliary_losses import AuxiliaryLosses
    from childgait.training.contrast import item_affinity
    from childgait.training.distillation import load_teacher

    if run is None and settings.contrast.weight == 0:
        return None
    affinity = item_affinity(targets_by_child(train.table, train.atypical), settings.augmentation.flip)
    teacher = None if run is None else load_teacher(run, settings, group.device)
    if teacher is not None and settings.distillation.boundary_weight > 0:
        teacher.measure_features(train.clips, settings, group.device)
    return AuxiliaryLosses(network, settings, affinity, teacher)


def set_class_prior(network: Network, train: Part, settings: Finetune) -> tuple[NDArray[np.float32], Tensor]:
    """Set the classifier's bias to the class prior. Returns the positive class weights and the prior per target."""
    import torch

    from childgait.training.losses import severe_of, training_labels
    from childgait.training.optim import class_prior, positive_weights

    labels = targets_by_child(train.table, train.atypical)
    flip = settings.augmentation.flip
    beta = settings.effective_beta if settings.loss == "class_balanced" else None
    weights = positive_weights(labels, settings.positive_weight_cap, flip, beta, train.mirrored)
    prior = torch.from_numpy(class_prior(labels, weights, flip, train.mirrored))
    biases = prior
    if settings.loss == "corn":
        scores = torch.from_numpy(targets_by_child(train.table, training_labels(train, settings)))
        severe = severe_of(scores).numpy()
        biases = torch.cat([prior, torch.from_numpy(class_prior(severe, np.ones_like(weights), flip))])
    network.set_prior_bias(biases)
    return weights, prior


def first_network(save_as: Path) -> Path:
    """Return the checkpoint of the network that is trained before the real one, to measure the joints' importance."""
    return save_as.with_name(f"first-{save_as.name}")


def labelled_part(train: Part, share: float, seed: int) -> Part:
    """Return the clips of the training children whose scores are used: a share of them, drawn by the seed."""
    if share == 1:
        return train
    children = children_of(train.table)
    count = max(round(share * len(children)), 1)
    labelled = set(np.random.default_rng([seed, count]).choice(children, count, replace=False).tolist())
    rows = [subject in labelled for subject in train.table["subject"]]
    return train.filter(rows)


def make_pool(
    train: Part,
    labelled: Part,
    unlabelled: list[Clip],
    loading: Loading,
    weights: NDArray[np.float32],
    settings: Finetune,
    seed: int,
    group: Group,
) -> UnlabelledPool:
    """Return the mean teacher with its clips, or an empty pool where params have none.

    The clips are those of children without scores, of training children whose scores are not used, and, with
    `training`, of all training children, whose scores are not read.
    """
    from childgait.training.mean_teacher import MeanTeacher, TwoViews, UnlabelledPool, visible_items_by_view
    from childgait.training.windows import Windows

    teacher = settings.mean_teacher
    if teacher.pool == "none":
        return UnlabelledPool()
    labelled_videos = {clip.video for clip in labelled.clips}
    clips = unlabelled + [
        clip for clip in train.clips if teacher.pool == "training" or clip.video not in labelled_videos
    ]
    visible = visible_items_by_view(train.atypical, [clip.view for clip in train.clips])
    clips = [clip for clip in clips if clip.view in visible]  # which items another view shows is unknown
    if not clips:
        raise StepError(
            "the mean teacher has no clips: no child is without scores, and all training children's scores are used",
            hint="set finetune.mean_teacher.pool to training, or to none",
        )
    labels = np.stack([visible[clip.view] for clip in clips])
    windows = Windows(clips, labels, loading, seed=seed, anchor=settings.anchor)
    return MeanTeacher(TwoViews(windows, settings.augmentation.flip, teacher), weights, settings, seed, group)


def one_size(clips: list[Clip]) -> int:
    """Return the side of all clips in pixels."""
    sizes = sorted({clip.size for clip in clips})
    if len(sizes) > 1:
        raise StepError(f"the clips are of {len(sizes)} sizes: {sizes} pixels", hint="run prepare_clips again for all")
    return sizes[0]


def load_start(
    model: Model, network: Network, settings: Finetune, pixels: int, pretrained: Path | None = None
) -> tuple[str, PretrainingSummary | None]:
    """Load published or pre-trained weights; return their origin in words, and the summary of the pre-training.

    `pretrained` is the checkpoint of this study's stage pretrain; it has precedence over finetune.weights.
    """
    from childgait.files.pretrained import check_same_network, find_start
    from childgait.models.pretrained import describe_network, load_pretrained, read_pretrained

    start = pretrained if pretrained is not None else find_start(model.name, settings)
    if start is not None:
        checkpoint = read_pretrained(start)
        study = describe_network(network, settings, pixels, settings.frame_step)
        check_same_network(checkpoint.path, checkpoint.description, study)
        load_pretrained(network, checkpoint)
        return checkpoint.description.words(), checkpoint.description.summary()
    if not settings.weights:
        return "from scratch", None
    network.load_published(Path(settings.weights), settings.weights_sha256)
    return f"{Path(settings.weights).name} (sha256 {settings.weights_sha256})", None


def make_validator(
    validation: Part, loading: Loading, weights: NDArray[np.float32], settings: Finetune, group: Group
) -> Callable[[nn.Module], dict[str, float]]:
    """Return a function of the network: loss and mean balanced accuracy on the validation children.

    Each process predicts its share of the windows.
    """
    from childgait.metrics.aggregate import mean_by_child
    from childgait.metrics.scores import balanced_accuracy
    from childgait.training.windows import Windows, WindowShare

    count = settings.validation_windows
    windows = Windows(validation.clips, validation.atypical, loading, windows_per_video=count)
    own = WindowShare(windows, group.rank, group.world)
    rows = np.arange(len(windows)) // count
    loader = loader_of(own, settings, group.device)  # one for all epochs: its workers stay
    truth = targets_by_child(validation.table, validation.atypical)
    subjects = validation.table["subject"].to_numpy()

    def validate(network: nn.Module) -> dict[str, float]:
        of_windows = np.zeros((len(windows), truth.shape[1]))
        if len(own):
            of_windows[group.rank :: group.world] = predict_loader(network, loader, settings, group.device).logits
        of_windows = group.sum_array(of_windows)
        visible = ~np.isnan(validation.atypical)[rows]
        logits = mean_by_child(of_windows, visible, subjects[rows], children_of(validation.table))
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

    return validate
