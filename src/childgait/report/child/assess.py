"""Assess one child: quality of its recordings, rules, the models' probabilities, and which items have an answer.

Reads the outputs of the per-video steps below `data/` of a folder, and the models' logits. The same code serves
`childgait score` and the study's pages of its test and validation children.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from childgait import __version__
from childgait.domain.evgs import BY_CODE, LIMBS, TARGETS, Limb, Target
from childgait.domain.names import VideoName, parse_video_name
from childgait.engine.video_chain import REVIEW_FIRST
from childgait.files.clips import Clip, open_clip
from childgait.files.hashes import sha256_of_text
from childgait.files.parts import Part
from childgait.files.split import PARTS
from childgait.gait.features import ClipKinematics, kinematics, measure_clip
from childgait.gait.walk_summary import (
    CURVES,
    STRIDE_VALUES,
    NormCurves,
    StrideCurve,
    norm_curves,
    spatiotemporal,
    stride_curves,
    walking_speed,
    walks_showing,
)
from childgait.metrics.abstention import (
    ATYPICAL,
    CANNOT_TELL,
    TYPICAL,
    ItemLimits,
    answers_of_sets,
    fewest_cells,
    prediction_sets,
)
from childgait.metrics.run_metrics import ItemReading
from childgait.metrics.scores import sigmoid
from childgait.params import Gate
from childgait.report.child.record import (
    FORMAT,
    Asymmetry,
    ChildRecord,
    ItemAnswer,
    RecordingQuality,
    RuleReading,
    StrideStatistic,
    TotalScore,
)
from childgait.training.bundle import Bundle, calibrated_probability
from childgait.training.run_facts import item_readings

FEWEST_STRIDES = 2
UNITS = {"HL": "0 feet adjacent, 1 opposite contact", "FCL": "leg lengths", "TLT": "shoulder widths"}
VIEW_WORDS = {
    "left": "from the left",
    "right": "from the right",
    "forward": "from the front",
    "backward": "from behind",
}
NOT_GIVEN = Path("not-given")
Logits = dict[str, NDArray[np.float64]]  # (34,) by run of the bundle


@dataclass(frozen=True)
class Visit:
    """Recordings of a child that are scored together, and the reason of each that a step could not finish."""

    child: str
    session: str
    age_years: float | None
    sex: str
    videos: list[str]
    problems: dict[str, str]  # by video
    folder: Path = Path()  # with data/
    part: str | None = None  # of the study
    found_views: frozenset[str] = frozenset()  # videos whose view the tool found
    files: dict[str, Path] | None = None  # by `step/name`: the inputs of a workflow's job, which reads no other file

    def path(self, step: str, video: str, ending: str) -> Path:
        """Return the path of a step's output; one that does not exist where a job was not given the file."""
        name = f"{step}/{video}{ending}"
        return self.folder / "data" / name if self.files is None else self.files.get(name, NOT_GIVEN / name)


@dataclass(frozen=True)
class Walks:
    """The usable recordings of a visit, and what was measured on them."""

    clips: list[Clip]
    kinematics: list[ClipKinematics]
    curves: list[StrideCurve]
    norm: NormCurves


def describe_recordings(visit: Visit, gate: Gate) -> list[RecordingQuality]:
    """Describe every recording of a visit; `gate` are the study's limits."""
    return [_describe_recording(visit, video, gate) for video in visit.videos]


def _describe_recording(visit: Visit, video: str, gate: Gate) -> RecordingQuality:
    name = parse_video_name(video)
    facts = _read(visit.path("register", video, ".json"))
    evidence = _read(visit.path("deidentify", video, ".evidence.json"))
    summary = _read(visit.path("refine_pose", video, ".summary.json"))
    masks = _read(visit.path("segment", video, ".summary.json"))
    clip = _read(visit.path("prepare_clips", video, ".clip.json"))
    problem = visit.problems.get(video)
    reasons = [problem] if problem else _reasons(summary, evidence, facts, clip, gate)
    return RecordingQuality(
        video=video,
        session=name.session,
        view=name.view,
        used=not reasons,
        reasons=reasons,
        remarks=_remarks(name, summary, masks, evidence, found_view=video in visit.found_views),
        **{key: facts.get(key) for key in ("seconds", "frames", "frames_per_second", "width", "height", "sha256")},
        verdict=evidence.get("verdict"),
        frames_covered=evidence.get("frames_covered"),
        child_height_pixels=masks.get("median_height_pixels"),
        **{key: summary.get(key) for key in ("share_legs_missing", "frames_swapped", "strides_left", "strides_right")},
    )


def _read(path: Path) -> dict[str, Any]:
    """Read the facts of a step; empty if it did not run."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _reasons(
    summary: dict[str, Any], evidence: dict[str, Any], facts: dict[str, Any], clip: dict[str, Any], gate: Gate
) -> list[str]:
    """Return why a recording must not be used: what the study's gates would stop at."""
    reasons = []
    if evidence.get("verdict") == "held":
        reasons.append(f"{REVIEW_FIRST}: {'; '.join(evidence['reasons'])}")
    if facts and facts["seconds"] < gate.shortest_seconds:
        reasons.append(f"it lasts {facts['seconds']:.1f} s, expected {gate.shortest_seconds:g} s or more")
    if summary.get("view_turned"):
        reasons.append("the child walks the opposite way to the stated view, so left and right would be exchanged")
    if (missing := summary.get("share_legs_missing", 0.0)) > gate.most_legs_missing:
        reasons.append(f"{missing:.0%} of the leg keypoints are missing, allowed {gate.most_legs_missing:.0%}")
    if (covered := clip.get("covered_share", 0.0)) > gate.most_covered_frames:
        reasons.append(
            f"a cover hides the child in {covered:.0%} of the frames, allowed {gate.most_covered_frames:.0%}"
        )
    return reasons


def _remarks(
    name: VideoName, summary: dict[str, Any], masks: dict[str, Any], evidence: dict[str, Any], *, found_view: bool
) -> list[str]:
    """Return what a reader should know of a recording that can be used."""
    remarks = ["the view was found by path, size and toes of the child; nothing states it"] if found_view else []
    if summary and summary.get("view_fits") is False:
        remarks.append(f"the direction of travel does not fit the view {name.view}")
    if summary and not summary["strides_left"] + summary["strides_right"]:
        remarks.append(f"no stride ({summary.get('no_events_because') or 'too short'})")
    frames = summary.get("frames") or 1
    if (swapped := summary.get("frames_swapped", 0) / frames) > 0.1:
        remarks.append(f"left and right leg were confused in {swapped:.0%} of the frames, and corrected")
    if summary and (filled := summary.get("share_filled", 0.0)) > 0.1:
        remarks.append(f"{filled:.0%} of the keypoints are interpolated")
    remarks += [str(flag) for flag in masks.get("flags", [])]
    if evidence and (missed := evidence.get("frames_without_head", 0)):
        remarks.append(f"in {missed} frames a person without a known head is covered whole")
    return remarks


def measure_walks(visit: Visit, recordings: list[RecordingQuality]) -> Walks:
    """Measure curves and strides of the usable recordings."""
    clips = [open_clip(visit.path("prepare_clips", one.video, ".clip.json")) for one in recordings if one.used]
    walks = [measure_clip(clip) for clip in clips]
    norm = norm_curves(visit.age_years, visit.sex, walking_speed(walks))
    return Walks(clips, walks, stride_curves(walks, CURVES), norm)


def part_of(visit: Visit, clips: list[Clip]) -> Part:
    """Return the usable recordings as the part table that models read; it has no score."""
    rows = [
        {
            "video": clip.video,
            "subject": clip.subject,
            "session": visit.session,
            "view": clip.view,
            "age_years": visit.age_years,
            "sex": visit.sex,
            "aid": "none",
        }
        for clip in clips
    ]
    return Part(pl.DataFrame(rows, schema=PARTS.schema()), clips)


def assess(
    visit: Visit, recordings: list[RecordingQuality], walks: Walks, bundle: Bundle, logits: Logits, inputs: str
) -> ChildRecord:
    """Put everything together: the record of one child in one session."""
    part = part_of(visit, walks.clips)
    distance = _distance(part, bundle)
    items = answer_items(walks, part, bundle, logits, distance)
    values = spatiotemporal(walks.kinematics)
    both = [item for item in items if item.rule_answer and item.answer != "cannot tell"]
    stride = [value.mean for value in values.get("stride seconds", {}).values()]
    return ChildRecord(
        format=FORMAT,
        child=visit.child,
        session=visit.session,
        age_years=visit.age_years,
        sex=visit.sex,
        bundle=bundle.hash,
        childgait=__version__,
        model=bundle.description.main,
        part=visit.part,
        synthetic=bundle.description.synthetic,
        error_rate=bundle.description.error_rate,
        recordings=recordings,
        cadence_steps_per_minute=round(120 / float(np.mean(stride)), 1) if stride else None,
        speed_heights_per_second=_rounded(walking_speed(walks.kinematics)),
        expected_stride_seconds=_rounded(walks.norm.stride_seconds),
        strides=[
            StrideStatistic(
                name=STRIDE_VALUES[name][0],
                unit=STRIDE_VALUES[name][1],
                limb=limb,
                mean=round(value.mean, 4),
                sd=_rounded(value.sd),
                strides=value.strides,
            )
            for name, by_limb in values.items()
            for limb, value in by_limb.items()
        ],
        asymmetry=[
            Asymmetry(name=STRIDE_VALUES[name][0], percent=round(200 * abs(left - right) / (left + right), 1))
            for name, by_limb in values.items()
            if len(by_limb) == 2 and (left := by_limb["left"].mean) + (right := by_limb["right"].mean) > 0
        ],
        norm=walks.norm.note,
        items=items,
        totals=[total_of(items, limbs, bundle) for limbs in (("left",), ("right",), LIMBS)],
        distance=_rounded(distance),
        distance_limit=bundle.description.distance_limit,
        agreement_items=len(both),
        agreement=sum(item.rule_answer == item.answer for item in both),
        inputs=inputs,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _distance(part: Part, bundle: Bundle) -> float | None:
    """Return how far the child's gait features are from those of the training children; None without any."""
    if not part.clips:
        return None
    features = kinematics(part.table, {clip.video: clip for clip in part.clips})
    distance = float(bundle.reference.distance(features)[0])
    return None if np.isnan(distance) else distance


def answer_items(walks: Walks, part: Part, bundle: Bundle, logits: Logits, distance: float | None) -> list[ItemAnswer]:
    """Answer the 34 items: the prediction set's class, or "cannot tell" with the reason."""
    described = bundle.description
    blank = np.full(len(TARGETS), np.nan)
    models = {
        model: calibrated_probability(described.runs, logits, model) if logits else blank for model in bundle.models()
    }
    runs = {run.name: sigmoid(run.calibrate(logits[run.name])) for run in described.runs if run.name in logits}
    main = models[described.main]
    sets = prediction_sets(main[None], described.limits)[0]
    answers = answers_of_sets(sets)
    readings = {(one.limb, one.code): one for one in item_readings(part)} if part.clips else {}
    far = distance is not None and distance > described.distance_limit
    items = []
    for number, target in enumerate(TARGETS):
        reason = missing_evidence(target, walks, described.views[target.code])
        if reason is None and far:
            reason = "the gait is unlike that of every training child"
        if reason is None and np.isnan(main[number]):
            reason = "the model has no prediction"
        evidence = reason is None
        inside = [("typical", "atypical")[place] for place in (TYPICAL, ATYPICAL) if sets[number, place]]
        if evidence and answers[number] == CANNOT_TELL:
            reason = undecided(len(inside), described.error_rate, described.limits[target.code])
        reading = readings.get((target.limb, target.code))
        rule = None if reading is None else _rule(reading, target, walks)
        items.append(
            ItemAnswer(
                target=target.name,
                number=BY_CODE[target.code].number,
                code=target.code,
                limb=target.limb,
                name=BY_CODE[target.code].name,
                answer="cannot tell" if reason else "atypical" if answers[number] == ATYPICAL else "typical",
                reason=reason,
                evidence=evidence,
                probability=_probability(main[number]),
                prediction_set=inside,
                models={name: float(p[number]) for name, p in models.items() if not np.isnan(p[number])},
                runs={name: float(p[number]) for name, p in runs.items() if not np.isnan(p[number])},
                rule=rule,
                rule_answer=None if rule is None else "atypical" if rule.score else "typical",
            )
        )
    return items


def undecided(classes: int, error_rate: float, limits: ItemLimits) -> str:
    """Return why a prediction set holds both classes or neither."""
    cells = {"typical": limits.typical.cells, "atypical": limits.atypical.cells}
    needed = fewest_cells(error_rate)
    if classes == 2 and min(cells.values()) < needed:
        scores = " and ".join(f"{count} {name}" for name, count in cells.items())
        return (
            f"too few children to calibrate an error rate of {error_rate:.0%}: {scores} scores of children unseen in "
            f"training, {needed} of each needed"
        )
    if classes == 2:
        return f"typical and atypical are both plausible at an error rate of {error_rate:.0%}"
    return f"neither class is plausible at an error rate of {error_rate:.0%}"


def _probability(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def missing_evidence(target: Target, walks: Walks, views: list[str]) -> str | None:
    """Return why there is too little evidence for an item of a limb; None if there is enough."""
    fitting = [walk for walk in walks.kinematics if walk.view in views]
    if not fitting:
        return "no usable recording " + " or ".join(VIEW_WORDS[view] for view in views)
    end_view = fitting[0].view in ("forward", "backward")
    strides = sum(len(walk.strides[target.limb]) for walk in walks_showing(fitting, target.limb, end_view=end_view))
    if strides < FEWEST_STRIDES:
        count = "no stride" if strides == 0 else "one stride"
        return f"{count} of the {target.limb} leg, expected {FEWEST_STRIDES} or more"
    return None


def _rule(reading: ItemReading, target: Target, walks: Walks) -> RuleReading:
    strides = {
        clip.video: len(walk.strides[target.limb]) for clip, walk in zip(walks.clips, walks.kinematics, strict=True)
    }
    return RuleReading(
        value=reading.value,
        unit=UNITS.get(target.code, "degrees"),
        score=reading.score or 0,
        zero_low=reading.zero_low,
        zero_high=reading.zero_high,
        video=reading.video,
        frame=reading.frame,
        seconds=reading.seconds,
        strides=strides[reading.video],
    )


def total_of(items: list[ItemAnswer], limbs: tuple[Limb, ...], bundle: Bundle) -> TotalScore:
    """Return the total of one limb or of both, with the interval that holds at the bundle's error rate."""
    own = [item for item in items if item.limb in limbs]
    sums = [item.probability for item in own if item.probability is not None]
    expected = sum(sums) if len(sums) == len(own) else None
    error = bundle.description.total_error["limb" if len(limbs) == 1 else "both"]
    low = high = None
    if expected is not None and error is not None:
        low, high = max(0.0, expected - error), min(float(len(own)), expected + error)
    return TotalScore(
        limb=limbs[0] if len(limbs) == 1 else "both",
        items=len(own),
        judged=len(sums),
        answered=sum(item.answer != "cannot tell" for item in own),
        atypical=sum(item.answer == "atypical" for item in own),
        expected_atypical=_rounded(expected),
        low=_rounded(low),
        high=_rounded(high),
        rule_score=sum(item.rule.score for item in own if item.rule),
        rule_items=sum(item.rule is not None for item in own),
    )


def inputs_of(visit: Visit, bundle: Bundle, extra: str = "") -> str:
    """Return one hash of everything the answers depend on: the steps' records, the bundle, age, sex, and `extra`."""
    records = [
        visit.path(step, video, ".record.json")
        for video in visit.videos
        for step in ("register", "deidentify", "segment", "estimate_pose", "refine_pose", "prepare_clips")
    ]
    seals = [json.loads(path.read_text(encoding="utf-8"))["seal"] if path.is_file() else "" for path in records]
    facts = [bundle.hash, visit.child, visit.session, str(visit.age_years), visit.sex, *seals]
    facts += sorted(visit.found_views & set(visit.videos))
    problems = [f"{video}: {problem}" for video, problem in sorted(visit.problems.items())]
    return sha256_of_text("\n".join([*facts, *problems, extra]))
