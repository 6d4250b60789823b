"""All models by name: the class that implements each, and the params keys that it overrides.

A network is a subclass of models/network.py's `Network`, a table model of models/table.py's `TableModel`. The class is
named by an import string and imported only when it is built, so listing the models costs nothing; the walk over source
files (engine/source_files.py) follows such strings like imports.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.models.table import TableModel
    from childgait.params import Finetune


@dataclass(frozen=True)
class Model:
    """One row of the registry."""

    name: str
    kind: Literal["network", "table"]
    module: str  # import string of the class, as childgait.models.agrm:Agrm
    remark: str  # one sentence for the report
    overrides: dict[str, object] = field(default_factory=dict)  # keys of params' finetune section that define the model

    def load_class(self) -> Any:
        """Import the class."""
        module, _, name = self.module.partition(":")
        return getattr(import_module(module), name)

    def build(self, settings: Finetune, pixels: int) -> Network:
        """Return the untrained network with the head that params choose.

        `settings` is what `settings_of` gives, `pixels` the side of the clips.
        """
        assert self.kind == "network", f"{self.name} is no network"
        network: Network = self.load_class().from_settings(settings, pixels)
        if settings.pooling == "hierarchical":
            network.pool_hierarchically(settings)
        if settings.head != "mlp":
            from childgait.models.item_heads import install_head

            install_head(network, settings, self.name)
        if settings.loss == "corn":
            network.make_ordinal()
        return network

    def build_table(self, settings: Finetune) -> TableModel:
        """Return the table model, from the settings that `settings_of` gives."""
        assert self.kind == "table", f"{self.name} is a network"
        table: TableModel = self.load_class().from_settings(settings)
        return table


def _table(name: str, module: str, remark: str) -> Model:
    return Model(name, "table", module, remark)


def _silhouette_network(name: str, module: str, remark: str, **silhouette: object) -> Model:
    overrides: dict[str, object] = {"frames": _SILHOUETTE_FRAMES}
    return Model(name, "network", module, remark, overrides | ({"silhouette": silhouette} if silhouette else {}))


def _network(name: str, module: str, remark: str, **overrides: object) -> Model:
    return Model(name, "network", module, remark, overrides)


_VIDEO = "childgait.models.childgait_video:ChildGaitVideo"
_PROMPTED, _PRUNED = {"prompt": "drawn"}, {"prune": "mask"}
_NOT_PROMPTED, _NOT_PRUNED = {"prompt": "none"}, {"prune": "none"}
_SILHOUETTE_FRAMES = 30  # frames per window of networks on silhouettes, as published
_LONG = 64  # frames per window of networks on keypoints, two strides: a frame costs them nearly nothing

_ROWS = (
    _table("majority", "childgait.models.majority:Majority", "Predicts the majority class of the training children."),
    _table("coin", "childgait.models.coin:Coin", "Predicts each child and item at random."),
    _table("age_sex", "childgait.models.age_sex:AgeSex", "Logistic regression on the child's age and sex alone."),
    _table(
        "rules", "childgait.models.rules:Rules", "Scores measured keypoint angles by the items' bands; else majority."
    ),
    _table(
        "kinematic_trees",
        "childgait.models.kinematic_trees:KinematicTrees",
        "Boosted trees on gait features, one forest per item.",
    ),
    _table("gei", "childgait.models.probe:Gei", "Logistic regression on the mean silhouette of each clip."),
    _table(
        "linear_probe",
        "childgait.models.probe:LinearProbe",
        "Logistic regression on the features of a frozen encoder.",
    ),
    _network("videomae", _VIDEO, "VideoMAE v2 on every patch, nothing drawn.", encoder=_NOT_PROMPTED | _NOT_PRUNED),
    _network(
        "prompted", _VIDEO, "VideoMAE v2 with the skeleton drawn, on every patch.", encoder=_PROMPTED | _NOT_PRUNED
    ),
    _network("pruned", _VIDEO, "VideoMAE v2 on the child's patches, nothing drawn.", encoder=_NOT_PROMPTED | _PRUNED),
    _network(
        "childgait_video",
        _VIDEO,
        "VideoMAE v2 on the child's patches, with the skeleton drawn on them.",
        encoder=_PROMPTED | _PRUNED,
    ),
    _network("childgait_video_t8", _VIDEO, "ChildGait-Video on 8 frames.", encoder=_PROMPTED | _PRUNED, frames=8),
    _network("childgait_video_t32", _VIDEO, "ChildGait-Video on 32 frames.", encoder=_PROMPTED | _PRUNED, frames=32),
    _network("r3d18", "childgait.models.resnet3d:R3d18", "3D ResNet-18: convolutions over space and time."),
    _network(
        "r2plus1d",
        "childgait.models.resnet3d:R2plus1d",
        "R(2+1)D-18: convolutions over space, then over time.",
    ),
    _network(
        "c3d",
        "childgait.models.c3d:C3d",
        "C3D: eight convolutions over space and time and two wide linear layers.",
    ),
    _network(
        "uniformer",
        "childgait.models.uniformer:Uniformer",
        "UniFormer: local convolution in early stages, global attention in late ones.",
    ),
    _network(
        "agrm",
        "childgait.models.agrm:Agrm",
        "AGRM: 3D ResNet-18 with hierarchical pooling, trained with a mean teacher.",
        mean_teacher={"pool": "training"},
    ),
    _silhouette_network("gaitset", "childgait.models.gaitset:Gaitset", "GaitSet: silhouettes as a set without order."),
    _silhouette_network(
        "gaitpart",
        "childgait.models.gaitpart:Gaitpart",
        "GaitPart: convolutions on height bands, short-term motion of every part.",
    ),
    _silhouette_network(
        "gaitgl",
        "childgait.models.gaitgl:Gaitgl",
        "GaitGL: 3D convolutions over whole silhouettes and over height bands.",
    ),
    _silhouette_network(
        "gaitbase", "childgait.models.gait_resnet:Gaitbase", "GaitBase: a 2D residual network per silhouette."
    ),
    _silhouette_network(
        "sconet",
        "childgait.models.gait_resnet:Sconet",
        "ScoNet: GaitBase, classified by cosines per height strip.",
    ),
    _silhouette_network(
        "deepgaitv2",
        "childgait.models.gait_resnet:Deepgaitv2",
        "DeepGaitV2 with pseudo-3D convolutions.",
        convolution="p3d",
    ),
    _silhouette_network(
        "deepgaitv2_2d",
        "childgait.models.gait_resnet:Deepgaitv2",
        "DeepGaitV2 with 2D convolutions.",
        convolution="2d",
    ),
    _silhouette_network(
        "deepgaitv2_3d",
        "childgait.models.gait_resnet:Deepgaitv2",
        "DeepGaitV2 with 3D convolutions.",
        convolution="3d",
    ),
    _silhouette_network(
        "swingait",
        "childgait.models.swingait:Swingait",
        "SwinGait: pseudo-3D convolutions, then window attention over space and time.",
        blocks=(1, 1, 2, 2),
    ),
    _network(
        "biggergait",
        "childgait.models.biggergait:Biggergait",
        "BiggerGait, small form: layers of a frozen vision transformer under one gait network.",
    ),
    _network(
        "stgcn",
        "childgait.models.stgcn:Stgcn",
        "ST-GCN: graph convolution over 23 joints and over time.",
        frames=_LONG,
    ),
    _network(
        "stgcn_fusion",
        "childgait.models.stgcn_fusion:StgcnFusion",
        "ST-GCN and gait features of its most important joints, joined by cross-attention.",
        frames=_LONG,
    ),
    _network(
        "ctrgcn",
        "childgait.models.ctrgcn:Ctrgcn",
        "CTR-GCN: graph convolution with a graph refined per channel and clip.",
        frames=_LONG,
    ),
    _network(
        "gaitgraph2",
        "childgait.models.gaitgraph2:Gaitgraph2",
        "GaitGraph2: residual graph network on places, velocities and bones.",
        frames=_LONG,
    ),
    _network(
        "gaitmixer",
        "childgait.models.gaitmixer:Gaitmixer",
        "GaitMixer: attention over joints, long convolutions over time.",
        frames=_LONG,
    ),
    _network(
        "gaitformer",
        "childgait.models.gaitmixer:Gaitformer",
        "GaitFormer: attention over joints, then over time per joint.",
        frames=_LONG,
    ),
    _network("gru", "childgait.models.sequence:Gru", "Bidirectional GRU on the keypoints of each frame.", frames=_LONG),
    _network(
        "lstm", "childgait.models.sequence:Lstm", "Bidirectional LSTM on the keypoints of each frame.", frames=_LONG
    ),
    _network(
        "tcn",
        "childgait.models.sequence:Tcn",
        "Dilated convolutions over time on the keypoints of each frame.",
        frames=_LONG,
    ),
)
MODELS: dict[str, Model] = {model.name: model for model in _ROWS}

NETWORKS_ONLY = frozenset(  # options of training by gradient descent
    {"loss", "focal_gamma", "effective_beta", "pooling", "distillation", "contrast"}
)

BASELINES = ("majority", "coin", "age_sex")  # always run beside the study's models
ABLATION = ("videomae", "prompted", "pruned", "childgait_video")  # two by two: prompting, pruning
KEYPOINTS = (  # networks that need no video
    "stgcn",
    "stgcn_fusion",
    "ctrgcn",
    "gaitgraph2",
    "gaitmixer",
    "gaitformer",
    "gru",
    "lstm",
    "tcn",
)
VIDEO_TABLES = ("gei", "linear_probe")  # table models that need video
FRAMES = ("childgait_video_t8", "childgait_video", "childgait_video_t32")  # by frames per window


def needs_video(name: str) -> bool:
    """Whether a model reads pixels or masks, which a cohort of keypoints alone lacks."""
    return name in VIDEO_TABLES or (MODELS[name].kind == "network" and name not in KEYPOINTS)


def find_model(name: str) -> Model:
    """Return the model of this name; an unknown name stops the run with the nearest one."""
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        raise StepError(
            f"no model is called {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(MODELS)}",
        )
    return MODELS[name]


def settings_of(model: Model, section: Finetune) -> Finetune:
    """Return params' finetune section for this model: with the registry's overrides, then those of params,
    validated."""
    from pydantic import ValidationError

    from childgait.params import problem_of

    for name in section.overrides:
        if name not in MODELS:
            raise StepError(
                f"finetune.overrides names {name!r}, which is no model", hint=f"there are {', '.join(MODELS)}"
            )
    own = section.overrides.get(model.name, {})
    if model.kind == "table" and (idle := sorted(NETWORKS_ONLY & own.keys())):
        raise StepError(
            f"finetune.overrides.{model.name}.{idle[0]} has no effect: {model.name} is not trained by gradient descent",
            hint="remove the key; networks alone have it",
        )
    values = section.model_dump()
    for overrides in (model.overrides, section.overrides.get(model.name, {})):
        for key, value in overrides.items():
            values[key] = {**values[key], **value} if isinstance(value, dict) and key in values else value
    try:
        settings = type(section).model_validate(values)
    except ValidationError as error:
        problem = problem_of("finetune", error.errors()[0])
        if not problem.startswith("finetune.overrides."):
            problem = f"finetune.overrides.{model.name}{problem.removeprefix('finetune')}"
        raise StepError(problem, hint="its keys are those of params' finetune section") from None
    if model.kind == "network" and settings.distillation.teacher:
        _check_teacher(model.name, settings.distillation.teacher)
    return settings


def _check_teacher(student: str, teacher: str) -> None:
    """Check that a student's teacher is another network."""
    if find_model(teacher).kind == "table":
        raise StepError(
            f"finetune.distillation.teacher is {teacher} for {student}, but {teacher} is not a network",
            hint=f"set finetune.overrides.{student}.distillation.teacher to a network",
        )
    if teacher == student:
        raise StepError(
            f"finetune.distillation.teacher is {teacher} for {student} itself",
            hint="set it for the smaller network alone: finetune.overrides.STUDENT.distillation.teacher",
        )
