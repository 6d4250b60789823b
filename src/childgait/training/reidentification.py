"""Audits how well recordings identify children, beside how well the same inputs predict the items.

A child's recordings are halved: the first session against the later ones where there are several, else the walk out
(forward, left) against the walk back (backward, right). A linear head per plane has the first halves as its classes
and scores the second halves; a child's score for a class is the mean log probability over its recordings and planes,
relative to chance. The items are predicted from the same features by the same kind of classifier, split by child.

Inputs: `proportions` (limb lengths), `keypoints` (gait features and limb lengths), `masks` (mean silhouettes; those of
right and backward views mirrored, which is how the other side sees a silhouette), `drawn clips` and `frames` (a frozen
encoder with and without the skeleton drawn). The protector evens limb lengths and the child's colours before the
features are computed, in all halves, so that an attacker has protected recordings to learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import VIEWS_OF_PLANE
from childgait.domain.names import parse_video_name
from childgait.domain.poses import Poses
from childgait.errors import StepError
from childgait.files.clips import Clip
from childgait.files.parts import Part, children_of, labels_of_children
from childgait.gait.features import features_of_clips
from childgait.gait.proportions import mean_proportions, measure_proportions, move_limb_lengths
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.intervals import draw_weights, interval, mean_balanced_accuracy
from childgait.metrics.reidentification import AuditRow, measure_identification
from childgait.vision.flatten import flatten_region

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from childgait.params import Finetune, Reidentify

Floats = NDArray[np.float64]
Features = Callable[[list[Clip]], Floats]
SESSIONS, WAYS = "another session", "way out, way back"
WAY_OUT = ("forward", "left")
MIRRORED_VIEWS = ("backward", "right")
INVERSE_PENALTY = 10.0  # of the logistic regressions, on features of unit length
LEAST_CHILDREN = 3
PROTECTED = ("keypoints", "frames")  # inputs that the protector changes


@dataclass(frozen=True)
class ProtectedClip(Clip):
    """A clip whose limb lengths and colours are moved towards those of all children by `strength`."""

    strength: float = 0.0
    proportions: tuple[float, ...] = field(default=(), repr=False)  # of the mean child in this plane

    def poses(self) -> Poses:
        return move_limb_lengths(super().poses(), np.array(self.proportions), self.strength)

    def frames(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        return flatten_region(super().frames(index), self.masks(index), self.strength)


def protect(clips: list[Clip], strength: float) -> list[Clip]:
    """Return the clips with limb lengths and colours evened by `strength`."""
    own = limb_lengths(clips)
    protected = list(clips)
    for inside in planes_of(clips):
        mean = tuple(mean_proportions(own[inside]).tolist())
        for row in np.flatnonzero(inside):
            values = {each.name: getattr(clips[row], each.name) for each in fields(Clip)}
            protected[row] = ProtectedClip(**values, strength=strength, proportions=mean)
    return protected


# --- inputs


def limb_lengths(clips: list[Clip]) -> Floats:
    """Return (clips, SEGMENTS) proportions of the body."""
    return np.array([measure_proportions(clip.poses().xy) for clip in clips])


def keypoint_features(clips: list[Clip]) -> Floats:
    """Return (clips, F) gait features of both limbs and proportions of the body."""
    return np.hstack([features_of_clips(clips).astype(np.float64), limb_lengths(clips)])


def silhouette_features(clips: list[Clip], settings: Finetune) -> Floats:
    """Return (clips, F) mean silhouettes, as seen from the front or the left."""
    from childgait.training.clip_features import mean_silhouettes
    from childgait.vision.silhouette_crops import ROWS

    images = mean_silhouettes(clips, settings).reshape(len(clips), ROWS, -1)
    turned = np.array([clip.view in MIRRORED_VIEWS for clip in clips])
    images[turned] = images[turned, :, ::-1]
    return images.reshape(len(clips), -1)


def list_inputs(clips: list[Clip], settings: Finetune) -> dict[str, Features]:
    """Map each input that all clips have to its features."""
    from childgait.training.clip_features import encoder_features

    inputs: dict[str, Features] = {"proportions": limb_lengths, "keypoints": keypoint_features}
    if all(clip.path("masks").exists() for clip in clips):
        inputs["masks"] = lambda some: silhouette_features(some, settings)
    if all(clip.path("frames").exists() for clip in clips):
        inputs["drawn clips"] = lambda some: encoder_features(some, settings)
        inputs["frames"] = lambda some: encoder_features(some, settings, drawn=False)
    return inputs


def audit(part: Part, settings: Finetune, params: Reidentify) -> Iterator[AuditRow]:
    """Yield a row per input, and one per strength of the protector for keypoints and frames."""
    inputs = list_inputs(part.clips, settings)
    for name, features in inputs.items():
        yield audit_features(name, 0.0, features(part.clips), part, params)
    uncached = settings.model_copy(update={"frozen": settings.frozen.model_copy(update={"cache": ""})})
    for strength in params.strengths:
        clips = protect(part.clips, strength)
        changed = list_inputs(part.clips, uncached)
        for name in (name for name in PROTECTED if name in inputs):
            yield audit_features(name, strength, changed[name](clips), part, params)


def audit_features(name: str, strength: float, features: Floats, part: Part, params: Reidentify) -> AuditRow:
    """Measure identification and items of one input's features (clips, F), one row per row of the part."""
    children, scores = identity_scores(features, part.clips, params.components)
    kinds = halves_of(part.clips)[1]
    halves = [kinds[child] for child in children]
    return AuditRow(
        input=name,
        strength=strength,
        identification=measure_identification(scores, halves, draws=params.bootstrap, seed=params.seed),
        items=item_accuracy(features, part, params),
    )


# --- identities


def halves_of(clips: list[Clip]) -> tuple[NDArray[np.bool_], dict[str, str]]:
    """Return which clips are of the first half, and per child the kind of its halves."""
    names = [parse_video_name(clip.video) for clip in clips]
    sessions: dict[str, set[str]] = {}
    for name in names:
        sessions.setdefault(name.subject, set()).add(name.session)
    several = {child for child, own in sessions.items() if len(own) > 1}
    first = [
        name.session == min(sessions[name.subject]) if name.subject in several else name.view in WAY_OUT
        for name in names
    ]
    return np.array(first), {child: SESSIONS if child in several else WAYS for child in sorted(sessions)}


def planes_of(clips: list[Clip]) -> list[NDArray[np.bool_]]:
    """Return which clips are seen from the side, and which from the front or behind."""
    return [np.array([clip.view in views for clip in clips]) for views in VIEWS_OF_PLANE.values()]


def identity_scores(features: Floats, clips: list[Clip], components: int) -> tuple[list[str], Floats]:
    """Return the children with two halves in one plane, and the scores (children, children) of second halves."""
    first, _ = halves_of(clips)
    subject = np.array([clip.subject for clip in clips])
    children = sorted(set(subject))
    total, count = (np.zeros((len(children), len(children))) for _ in range(2))
    for inside in planes_of(clips):
        shared = np.intersect1d(subject[inside & first], subject[inside & ~first])
        if len(shared) < LEAST_CHILDREN:
            continue
        enrolled, probes = (inside & half & np.isin(subject, shared) for half in (first, ~first))
        head = linear_head(components, features[enrolled], subject[enrolled])
        log_odds = head.predict_log_proba(features[probes]) + np.log(len(shared))
        rows = [log_odds[subject[probes] == child].mean(axis=0) for child in shared]
        place = np.searchsorted(children, shared)
        total[np.ix_(place, place)] += np.array(rows)
        count[np.ix_(place, place)] += 1
    known = np.flatnonzero(np.diag(count))
    if len(known) < LEAST_CHILDREN:
        raise StepError(
            f"only {len(known)} children have two halves of recordings in one plane, but {LEAST_CHILDREN} are needed",
            hint="a child needs two sessions, or left and right, or forward and backward views of one",
        )
    with np.errstate(invalid="ignore"):
        scores = (total / count)[np.ix_(known, known)]
    return [children[index] for index in known], scores


def linear_head(components: int, features: Floats, labels: NDArray[np.generic], *, balanced: bool = False) -> Pipeline:
    """Fit a logistic regression on standardised features, reduced to principal components of unit length."""
    from sklearn.decomposition import PCA
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    head = make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        PCA(min(components, *features.shape), svd_solver="full"),
        Normalizer(),
        LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced" if balanced else None, max_iter=1000),
    )
    return head.fit(features, labels)


# --- items


def item_accuracy(features: Floats, part: Part, params: Reidentify) -> Cell:
    """Return the mean balanced accuracy of the items, predicted for children on whom no classifier was fitted."""
    children, subject = children_of(part.table), part.table["subject"].to_numpy()
    order = np.random.default_rng(params.seed).permutation(len(children))
    fold_of = dict(zip(children, np.argsort(order) % params.folds, strict=True))
    folds = np.array([fold_of[child] for child in subject])
    probability = np.full(part.atypical.shape, np.nan)
    for inside in planes_of(part.clips):
        for fold in range(params.folds):
            train, test = inside & (folds != fold), inside & (folds == fold)
            if train.any() and test.any():
                probability[test] = _item_probabilities(
                    features[train], part.atypical[train], features[test], params.components
                )
    truth = labels_of_children(part.table)
    by_child = np.array([_mean_known(probability[subject == child]) for child in children])
    drawn = mean_balanced_accuracy(by_child, truth, draw_weights(len(children), params.bootstrap, params.seed))
    plain = float(mean_balanced_accuracy(by_child, truth, np.ones((1, len(children))))[0])
    return make_cell(plain, interval(drawn), "no item has typical and atypical children")


def _item_probabilities(train: Floats, atypical: NDArray[np.float32], test: Floats, components: int) -> Floats:
    """Return (test, 34) probabilities; NaN for an item that no clip shows, the share where all are alike."""
    probability = np.full((len(test), atypical.shape[1]), np.nan)
    for target, labels in enumerate(atypical.T):
        known = ~np.isnan(labels)
        if len(np.unique(labels[known])) == 2:
            head = linear_head(components, train[known], labels[known], balanced=True)
            probability[:, target] = head.predict_proba(test)[:, 1]
        elif known.any():
            probability[:, target] = labels[known][0]
    return probability


def _mean_known(rows: Floats) -> Floats:
    """Return the mean over rows without NaN; NaN where there is nothing else."""
    count = np.isfinite(rows).sum(axis=0)
    return np.asarray(np.where(count > 0, np.nansum(rows, axis=0) / np.maximum(count, 1), np.nan))
