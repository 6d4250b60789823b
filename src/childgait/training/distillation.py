"""Distillation: a small network is trained on the labels and on the answers of a larger, trained one.

Origin: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015, arXiv 1503.02531): divergence of
probabilities softened by a temperature; Heo et al., "Knowledge Transfer via Distillation of Activation Boundaries
Formed by Hidden Neurons" (AAAI 2019, arXiv 1811.03233): the student's activations lie on the teacher's side of a
threshold, with a margin; both per height strip in GaitKD (arXiv 2604.26255). Ours: items are binary, so the divergence
is that of two logits per item, over the items whose score is known; features are what each network's classifier reads,
the student's mapped linearly to the teacher's width, the teacher's threshold its mean over the training clips.

Reads the weights and the description of the teacher's run of the same fold and seed; yields a loss per clip. Teacher
and student get the same moment and the same augmentation of a clip, each as it reads clips.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from childgait.domain.evgs import TARGETS
from childgait.errors import StepError
from childgait.models.batch import Batch
from childgait.models.network import Network
from childgait.models.strips import StripNetwork
from childgait.training.losses import atypical_logits
from childgait.training.windows import Loading, Sample, Visit, Windows, collate

if TYPE_CHECKING:
    from childgait.files.clips import Clip
    from childgait.params import Finetune
    from childgait.training.teacher_run import TeacherRun


def softened_divergence(student: Tensor, teacher: Tensor, known: Tensor, temperature: float) -> Tensor:
    """Return (B,) T² KL(teacher, student) of binary logits (B, ..., 34) over T, the mean over known targets (B, 34).

    Dimensions between (strips) are averaged, too. 0 for a clip without a known target.
    """
    s, t = student.float() / temperature, teacher.float() / temperature
    p, q = t.sigmoid(), (-t).sigmoid()
    divergence = p * (functional.logsigmoid(t) - functional.logsigmoid(s))
    divergence = divergence + q * (functional.logsigmoid(-t) - functional.logsigmoid(-s))
    if divergence.dim() > 2:
        divergence = divergence.flatten(1, -2).mean(dim=1)
    return temperature**2 * (divergence * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def boundary_loss(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Return (B,) the squared distance of student activations (B, W) to the margin on the teacher's side of 0."""
    short = torch.where(teacher > 0, margin - student, student + margin)
    return short.clamp(min=0).square().mean(dim=1)


def logits_by_part(network: StripNetwork, features: Tensor) -> Tensor:
    """Return (B, P, 34): each strip's own logits, whose mean over the strips is the network's logits."""
    _, last = network.classifier()
    assert isinstance(last, nn.Linear)
    return atypical_logits_of_parts(network.strips * network.logits_by_strip(features) + last.bias)


def atypical_logits_of_parts(logits: Tensor) -> Tensor:
    """Return the logits (B, P, 34) of atypical, without those of an ordinal model's second question."""
    return atypical_logits(logits.flatten(0, 1)).unflatten(0, logits.shape[:2])


def align_parts(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Average neighbouring strips of the finer of (B, P, 34) and (B, Q, 34), so that both have as many."""
    parts = min(one.shape[1], two.shape[1])
    first, second = (logits.unflatten(1, (parts, -1)).mean(dim=2) for logits in (one, two))
    return first, second


class TeacherWindows(Dataset[tuple[Sample, Sample]]):
    """Training windows of the student, each with the teacher's: the same moment, changed alike."""

    def __init__(self, student: Windows, teacher: Windows) -> None:
        assert student.windows_per_video is None, "only training windows are drawn"
        self.student, self.teacher = student, teacher

    def __len__(self) -> int:
        return len(self.student)

    def __getitem__(self, visit: Visit) -> tuple[Sample, Sample]:
        _, row = visit
        start, draw = self.student.draw(visit)
        own, other = (_reach(windows) for windows in (self.student, self.teacher))
        last = max(self.student.clips[row].length - other, 0)
        centred = min(max(start + (own - other) // 2, 0), last)
        return self.student.sample(row, start, draw), self.teacher.sample(row, centred, draw)


def _reach(windows: Windows) -> int:
    """Return the frames of a clip from a window's first to its last."""
    return (windows.loading.frames - 1) * windows.loading.frame_step + 1


def collate_with_teacher(pairs: list[tuple[Sample, Sample]]) -> Batch:
    """Collate the student's windows; the teacher's are the batch's `teacher`."""
    own, others = zip(*pairs, strict=True)
    return replace(collate(list(own)), teacher=replace(collate(list(others)), labels=None))


class Teacher:
    """A trained network that answers for windows of training clips; its weights do not change."""

    def __init__(self, network: Network, loading: Loading) -> None:
        self.network, self.loading = network.eval().requires_grad_(False), loading
        self.mean, self.deviation = torch.zeros(1), torch.ones(1)

    @torch.no_grad()
    def answer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return its logits (B, 34) and the features (B, W) that its classifier reads."""
        logits, features = self.network.with_features(batch)
        return atypical_logits(logits).float(), features.float()

    def measure_features(self, clips: list[Clip], settings: Finetune, device: str) -> None:
        """Take mean and deviation of each feature over the middle windows of the training clips."""
        from childgait.training.predict import loader_of

        windows = Windows(
            clips, np.full((len(clips), len(TARGETS)), np.nan, np.float32), self.loading, windows_per_video=1
        )
        features = torch.cat([self.answer(batch.to(device))[1] for batch in loader_of(windows, settings, device)])
        deviation = features.std(dim=0, correction=0)
        self.mean, self.deviation = features.mean(dim=0), torch.where(deviation > 1e-6, deviation, math.inf)

    def standardise(self, features: Tensor) -> Tensor:
        """Return features less their means over their deviations; 0 for a constant one."""
        return (features - self.mean) / self.deviation


def load_teacher(run: TeacherRun, settings: Finetune, device: str) -> Teacher:
    """Return the teacher on a device; kernels and threads stay those of the student's `settings`."""
    from childgait.models.registry import find_model
    from childgait.training.predict import inference_settings, load_network, loading_of, prepare_torch, settings_from

    described = run.model.description
    model = find_model(described.model)
    own = inference_settings(model, settings_from(described).model_copy(update={"device": device}))
    network = load_network(model, own, run.model.weights, described.facts)
    prepare_torch(settings)
    return Teacher(network.to(device), loading_of(network, own))


def check_strips(student: Network, teacher: Network) -> None:
    """Check that two networks cut the height into strips that can be laid on each other."""
    for network in (student, teacher):
        if not isinstance(network, StripNetwork) or network.head_reads_maps or len(network.bins) != 1:
            raise StepError(
                f"finetune.distillation.parts is strips, but {type(network).__name__} has no strips in one order",
                hint="set it to clip; networks on silhouettes but gaitset have such strips",
            )
    counts = [network.strips for network in (student, teacher) if isinstance(network, StripNetwork)]
    if max(counts) % min(counts):
        raise StepError(
            f"finetune.distillation.parts is strips, but the student has {counts[0]}, the teacher {counts[1]}",
            hint="set it to clip, or take two networks of which one has a multiple of the other's strips",
        )
