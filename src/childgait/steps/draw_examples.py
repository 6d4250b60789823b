"""Draw the pictures of the report's first page: covered frames, what the network receives, where its evidence lies.

Reads clips, de-identified videos, masks and keypoints of a few recordings of test children, and a run's network.
"""

from __future__ import annotations

from childgait.engine.flags import Input, Output

METHODS = "Of test children it is shown which patches the network received and where the evidence of an item lies."


def draw_examples(
    clips: list[Input],
    videos: list[Input],
    masks: list[Input],
    poses: list[Input],
    weights: Input,
    model: Input,
    covered: Output,
    received: Output,
    evidence: Output,
) -> None:
    """Draw one strip per recording on each of the three pictures; the lists name the same recordings in one order."""
    from childgait.files.model_description import ModelDescription
    from childgait.report.examples import ExampleFiles, draw_sheets, write_jpeg

    files = [ExampleFiles(*paths) for paths in zip(clips, videos, masks, poses, strict=True)]
    sheets = draw_sheets(files, ModelDescription.read(model), weights)
    write_jpeg(covered, sheets.covered)
    write_jpeg(received, sheets.received)
    write_jpeg(evidence, sheets.evidence)
