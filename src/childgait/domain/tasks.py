"""Classification tasks beside the 34 items: classes of a child or of each limb, ordered or not.

subjects.csv has one column per task (`scoliosis`), or one per limb (`left_gait_type`, `right_gait_type`). Gait
types are those of the keypoint challenge's track 2, after Rodda and Graham (Eur J Neurol 2001;8 Suppl 5:98): true
equinus, jump gait, apparent equinus, crouch gait; WNL is within normal limits. The classes of scoliosis are those of
Scoliosis1K (Zhou et al. 2024): none, doubtful, manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

from childgait.domain.evgs import LIMBS, VIEWS, VIEWS_OF_PLANE, View


@dataclass(frozen=True)
class Task:
    """What is classified: the classes, in order where they have one, and the columns of subjects.csv."""

    name: str
    classes: tuple[str, ...]
    columns: tuple[str, ...]  # one of the child, or those of the left and the right limb
    ordered: bool = False
    views: tuple[View, ...] = VIEWS  # that show the classes; recordings from others are not used

    @property
    def limbs(self) -> tuple[str, ...]:
        """The limbs that have a class of their own; one empty name where the child has one."""
        return LIMBS if len(self.columns) == len(LIMBS) else ("",)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The binary targets of one limb or child: cumulative thresholds of ordered classes, else one per class."""
        if self.ordered:
            return tuple(f"at_least_{name}" for name in self.classes[1:])
        return tuple(f"is_{name}" for name in self.classes)

    @property
    def mirrored(self) -> tuple[int, ...]:
        """The order of all binary targets of a mirrored clip: the limbs exchange theirs."""
        count = len(self.outputs)
        limbs = range(len(self.limbs))
        return tuple(count * limb + output for limb in reversed(limbs) for output in range(count))


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("severity", ("1", "2", "3", "4"), ("severity",), ordered=True),
        Task(
            "gait_type",
            ("WNL", "type1", "type2", "type3", "type4"),
            ("left_gait_type", "right_gait_type"),
            views=VIEWS_OF_PLANE["sagittal"],
        ),
        Task("knee_alignment", ("varum", "normal", "valgum"), ("knee_alignment",), views=VIEWS_OF_PLANE["coronal"]),
        Task("scoliosis", ("negative", "neutral", "positive"), ("scoliosis",), views=VIEWS_OF_PLANE["coronal"]),
    )
}
CLASS_COLUMNS: dict[str, Task] = {
    column: task for task in TASKS.values() if not task.ordered for column in task.columns
}
