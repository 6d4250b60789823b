"""Every model by name: what it is, how it is built, and which numbers of params it overrules.

A network is an nn.Module with `inputs` and forward(Batch) -> logits (B, 34), which is answer(maps(Batch), Batch): what
it last saw, and what it makes of it; training/gradcam.py looks between the two. A table model has `features` (a name
in training/features.py), fit(features, atypical, seed) -> arrays, and predict(arrays, features) -> logits (N, 34).
To add a model: its module, its params (a section inside `finetune`, or overrides below), its test; then its lines here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from childgait.errors import StepError


@dataclass(frozen=True)
class Model:
    """One row of the registry.

    `make(settings, pixels)` gives the untrained model, from params' finetune section as `settings_of` gives it;
    `pixels` is the side of the clips. It imports the model's module itself: only then, and where the records see it.
    """

    name: str
    kind: Literal["network", "table"]
    make: Callable[[Any, int], Any]
    remark: str  # one sentence for the report
    overrides: dict[str, Any] = field(default_factory=dict)  # keys of params' finetune section that make the model

    def build(self, settings: Any, pixels: int) -> Any:
        """The untrained model, a network under the item head that params choose."""
        built = self.make(settings, pixels)
        if self.kind == "network" and settings.head != "mlp":
            from childgait.models.item_heads import install_head

            install_head(built, settings, self.name)
        return built


def _majority(settings: Any, pixels: int) -> Any:
    from childgait.models.majority import Majority

    return Majority()


def _coin(settings: Any, pixels: int) -> Any:
    from childgait.models.coin import Coin

    return Coin()


def _age_sex(settings: Any, pixels: int) -> Any:
    from childgait.models.age_sex import AgeSex

    return AgeSex()


def _childgait_video(settings: Any, pixels: int) -> Any:
    from childgait.models.childgait_video import from_settings

    return from_settings(settings, pixels)


def _rules(settings: Any, pixels: int) -> Any:
    from childgait.models.rules import Rules

    return Rules()


def _kinematic_trees(settings: Any, pixels: int) -> Any:
    from childgait.models.kinematic_trees import from_settings

    return from_settings(settings, pixels)


def _stgcn(settings: Any, pixels: int) -> Any:
    from childgait.models.stgcn import from_settings

    return from_settings(settings, pixels)


def _stgcn_fusion(settings: Any, pixels: int) -> Any:
    from childgait.models.stgcn_fusion import from_settings

    return from_settings(settings, pixels)


def _gru(settings: Any, pixels: int) -> Any:
    from childgait.models.sequence import gru

    return gru(settings, pixels)


def _lstm(settings: Any, pixels: int) -> Any:
    from childgait.models.sequence import lstm

    return lstm(settings, pixels)


def _tcn(settings: Any, pixels: int) -> Any:
    from childgait.models.sequence import tcn

    return tcn(settings, pixels)


def _r3d18(settings: Any, pixels: int) -> Any:
    from childgait.models.resnet3d import r3d18

    return r3d18(settings, pixels)


def _r2plus1d(settings: Any, pixels: int) -> Any:
    from childgait.models.resnet3d import r2plus1d

    return r2plus1d(settings, pixels)


def _c3d(settings: Any, pixels: int) -> Any:
    from childgait.models.c3d import c3d

    return c3d(settings, pixels)


def _uniformer(settings: Any, pixels: int) -> Any:
    from childgait.models.uniformer import uniformer

    return uniformer(settings, pixels)


def _agrm(settings: Any, pixels: int) -> Any:
    from childgait.models.agrm import agrm

    return agrm(settings, pixels)


def _video(name: str, remark: str, frames: int | None = None, **encoder: Any) -> Model:
    overrides: dict[str, Any] = {"encoder": encoder} if frames is None else {"encoder": encoder, "frames": frames}
    return Model(name, "network", _childgait_video, remark, overrides)


def _points(name: str, build: Callable[[Any, int], Any], remark: str) -> Model:
    """A network on keypoints: a frame costs it nearly nothing, so its windows hold two strides."""
    return Model(name, "network", build, remark, {"frames": 64})


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model("majority", "table", _majority, "Always answers what most training children have."),
        Model("coin", "table", _coin, "Tosses a coin for every child and item."),
        Model("age_sex", "table", _age_sex, "Knows nothing but the child's age and sex (logistic regression)."),
        Model(
            "rules",
            "table",
            _rules,
            "Measures items on the keypoints by their bands; the majority where they show none.",
        ),
        Model("kinematic_trees", "table", _kinematic_trees, "Boosted trees on numbers of the walk, an item each."),
        _video("videomae", "VideoMAE v2 on every patch, nothing drawn.", prompt="none", prune="none"),
        _video("prompted", "VideoMAE v2 with the skeleton drawn, on every patch.", prompt="drawn", prune="none"),
        _video("pruned", "VideoMAE v2 on the child's patches, nothing drawn.", prompt="none", prune="mask"),
        _video(
            "childgait_video",
            "VideoMAE v2 on the child's patches, with the skeleton drawn on them.",
            prompt="drawn",
            prune="mask",
        ),
        _video("childgait_video_t8", "ChildGait-Video on 8 frames.", 8, prompt="drawn", prune="mask"),
        _video("childgait_video_t32", "ChildGait-Video on 32 frames.", 32, prompt="drawn", prune="mask"),
        Model("r3d18", "network", _r3d18, "3D ResNet-18: convolutions over space and time."),
        Model("r2plus1d", "network", _r2plus1d, "R(2+1)D-18: convolutions over space, then over time."),
        Model("c3d", "network", _c3d, "C3D: eight convolutions over space and time and two wide layers."),
        Model("uniformer", "network", _uniformer, "UniFormer: convolution among near places, attention among all."),
        Model(
            "agrm",
            "network",
            _agrm,
            "AGRM: 3D ResNet-18, hierarchical pooling, taught by its own average.",
            {"mean_teacher": {"pool": "training"}},
        ),
        _points("stgcn", _stgcn, "ST-GCN: graph convolution over 23 joints and over time."),
        _points(
            "stgcn_fusion",
            _stgcn_fusion,
            "ST-GCN and numbers of the walk that its joints choose, with cross-attention.",
        ),
        _points("gru", _gru, "A GRU in both directions on the keypoints of each frame."),
        _points("lstm", _lstm, "An LSTM in both directions on the keypoints of each frame."),
        _points("tcn", _tcn, "Dilated convolutions over time on the keypoints of each frame."),
    )
}

BASELINES = ("majority", "coin", "age_sex")  # stand beside every other row, always
ABLATION = ("videomae", "prompted", "pruned", "childgait_video")  # two by two
KEYPOINTS = ("stgcn", "stgcn_fusion", "gru", "lstm", "tcn")  # networks that need no video
FRAMES = ("childgait_video_t8", "childgait_video", "childgait_video_t32")


def find_model(name: str) -> Model:
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        raise StepError(
            f"no model is called {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(MODELS)}",
        )
    return MODELS[name]


def settings_of(model: Model, section: Any) -> Any:
    """Params' finetune section as this model gets it: the registry's overrides, then those of params, checked again."""
    from pydantic import ValidationError

    from childgait.params import problem_of

    for name in section.overrides:
        if name not in MODELS:
            raise StepError(
                f"finetune.overrides names {name!r}, which is no model", hint=f"there are {', '.join(MODELS)}"
            )
    values = section.model_dump()
    for overrides in (model.overrides, section.overrides.get(model.name, {})):
        for key, value in overrides.items():
            values[key] = {**values[key], **value} if isinstance(value, dict) and key in values else value
    try:
        return type(section).model_validate(values)
    except ValidationError as error:
        problem = problem_of("finetune", error.errors()[0])
        if not problem.startswith("finetune.overrides."):
            problem = f"finetune.overrides.{model.name}{problem.removeprefix('finetune')}"
        raise StepError(problem, hint="its keys are those of params' finetune section") from None
