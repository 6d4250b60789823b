"""SAM 3 on a video: by words (`text`), or by a box, points or a mask on one frame (`track`).

A thin wrapper over transformers. What it adds:

- weights by folder and sha256, never fetched: the hub is switched off, and so is the compiled code that transformers
  would download for duplicates, holes and specks; those are removed here (`distinct`, `clean`);
- a new session for each video (a reset one keeps hidden objects);
- frames go in one at a time and are kept small (model size, bfloat16, main memory), so that 300 frames of 1920x1080
  need 1.9 GB and not 11; yet the model sees a whole video, which unlike streaming lets it drop false starts.

Reads RGB frames, uint8 (height, width, 3). Yields for every frame, in order, {object id: Found(mask, box, score)}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.files.masks import Mask, decode, encode

if TYPE_CHECKING:
    import torch

Box = tuple[float, float, float, float]
WEIGHTS = "model.safetensors"
ALIKE = 0.7  # overlap (IoU) from which two objects of a frame are the same one seen twice


class Found(NamedTuple):
    """One object in one frame."""

    mask: Mask
    box: Box  # x0, y0, x1, y1, the latter exclusive
    score: float


def box_of(mask: Mask) -> Box:
    """The box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def clean(mask: Mask, smallest: int) -> Mask:
    """Without specks and holes of fewer pixels than that. The largest piece stays, however small."""
    sure = mask.astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(sure, connectivity=8)
    if count > 2:
        areas = facts[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        keep = areas >= smallest
        keep[int(areas.argmax())] = True
        sure = keep[labels].astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(1 - sure, connectivity=4)
    small = facts[:, cv2.CC_STAT_AREA] < smallest
    small[0] = False  # label 0 is the mask itself
    return (sure > 0) | small[labels]


def distinct(found: dict[int, Found], alike: float = ALIKE) -> dict[int, Found]:
    """One object of each set of near-equal ones: the surest, and of equals the one that was there first."""
    kept: dict[int, Found] = {}
    for number in sorted(found, key=lambda i: (-found[i].score, i)):
        mask = found[number].mask
        if all((mask & other.mask).sum() < alike * max((mask | other.mask).sum(), 1) for other in kept.values()):
            kept[number] = found[number]
    return {number: kept[number] for number in sorted(kept)}


def check_weights(folder: Path, expected: str) -> Path:
    """The weights file, if it is the one that params.yaml names."""
    file = folder / WEIGHTS
    if not file.is_file():
        raise StepError(f"{folder} holds no {WEIGHTS}", hint="put SAM 3 there: weights, configuration and processor")
    if (found := sha256(file)) != expected:
        raise StepError(
            f"{file} has sha256 {found[:12]}…, params.yaml says {expected[:12] or 'none'}…: these are other weights",
            hint="put the named weights there, or change the sha256 if you trust these",
        )
    config = folder / "config.json"
    kind = json.loads(config.read_text(encoding="utf-8")).get("model_type") if config.is_file() else "no config.json"
    if kind != "sam3_video":
        raise StepError(f"{folder} holds {kind}, not sam3_video", hint="give the folder of a SAM 3 video model")
    return file


def _offline() -> None:
    """Nothing may be fetched: neither weights nor transformers' optional compiled code."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers.models.sam3_video import modeling_sam3_video
    from transformers.utils import logging

    logging.disable_progress_bar()  # of loading weights: a log is no terminal
    modeling_sam3_video.cv_utils_kernel = False  # as if already tried in vain; `distinct` and `clean` do that work


class Sam3:
    """The weights of one folder. The two models share a file; each is loaded when first asked for."""

    def __init__(
        self, folder: Path, expected_sha256: str, *, device: str = "cpu", smallest_share: float = 2e-4
    ) -> None:
        check_weights(folder, expected_sha256)
        _offline()
        self.folder, self.device, self.smallest_share = folder, device, smallest_share
        self._loaded: dict[str, tuple[Any, Any]] = {}

    def _load(self, kind: str) -> tuple[Any, Any]:
        """Model and processor: `Sam3Video` (words) or `Sam3TrackerVideo` (box, points, mask)."""
        if kind not in self._loaded:
            import torch
            import transformers

            try:
                model = getattr(transformers, kind + "Model").from_pretrained(
                    self.folder, local_files_only=True, dtype=torch.bfloat16
                )
                processor = getattr(transformers, kind + "Processor").from_pretrained(
                    self.folder, local_files_only=True
                )
            except (OSError, ValueError, RuntimeError) as error:
                raise StepError(
                    f"{self.folder} does not load as {kind} ({str(error).splitlines()[0]})",
                    hint="give the folder of a SAM 3 video model as saved by transformers",
                ) from error
            self._loaded[kind] = model.to(self.device).eval(), processor
        return self._loaded[kind]

    def _session(self, processor: Any, frames: Iterable[NDArray[np.uint8]]) -> Any:
        """A new session that holds the whole video, taken in frame by frame, small and off the accelerator."""
        import torch

        session = processor.init_video_session(
            inference_device=self.device,
            inference_state_device=self.device,
            processing_device="cpu",
            video_storage_device="cpu",
            dtype=torch.bfloat16,
        )
        for pixels in frames:
            picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
            small = processor.video_processor(videos=[picture[None]], return_tensors="pt").pixel_values_videos[0][0]
            session.add_new_frame(small)
            session.video_height, session.video_width = pixels.shape[:2]
        if not session.num_frames:
            raise StepError("SAM 3 was given a video without frames", hint="nothing was decoded from it: look at it")
        return session

    def _found(self, mask: torch.Tensor, score: float) -> Found | None:
        pixels = mask.cpu().numpy()
        pixels = clean(pixels, max(round(self.smallest_share * pixels.size), 2))
        return Found(pixels, box_of(pixels), score) if pixels.any() else None

    def text(self, frames: Iterable[NDArray[np.uint8]], prompts: Sequence[str]) -> Iterator[dict[int, Found]]:
        """Every object that one of the prompts describes, under one number for the whole video."""
        import torch

        model, processor = self._load("Sam3Video")
        session = self._session(processor, frames)
        processor.add_text_prompt(session, list(prompts))
        with torch.inference_mode():
            for output in model.propagate_in_video_iterator(session, start_frame_idx=0):
                result = processor.postprocess_outputs(session, output)
                numbers, scores = result["object_ids"].tolist(), result["scores"].tolist()
                found = {n: self._found(result["masks"][i], float(scores[i])) for i, n in enumerate(numbers)}
                yield distinct({n: one for n, one in found.items() if one is not None})

    def track(
        self,
        frames: Iterable[NDArray[np.uint8]],
        *,
        frame_index: int,
        box: Box | None = None,
        points: Sequence[tuple[float, float]] | None = None,
        mask: Mask | None = None,
    ) -> Iterator[dict[int, Found]]:
        """The one thing shown on that frame by a box, by points on it, or by its mask, followed both ways; number 1."""
        import torch

        assert sum(prompt is not None for prompt in (box, points, mask)) == 1, "one prompt: box, points or mask"
        model, processor = self._load("Sam3TrackerVideo")
        session = self._session(processor, frames)
        if not 0 <= frame_index < session.num_frames:
            raise StepError(
                f"the prompt is for frame {frame_index} of a video of {session.num_frames} frames",
                hint="frames count from 0",
            )
        prompt: dict[str, Any]
        if box is not None:
            prompt = {"input_boxes": [[list(box)]]}
        elif points is not None:
            prompt = {"input_points": [[[list(p) for p in points]]], "input_labels": [[[1] * len(points)]]}
        else:
            prompt = {"input_masks": mask}
        processor.add_inputs_to_inference_session(session, frame_idx=frame_index, obj_ids=[1], **prompt)
        with torch.inference_mode():
            model(inference_session=session, frame_idx=frame_index)
            earlier = [
                self._tracked(session, processor, output)
                for output in model.propagate_in_video_iterator(session, frame_index, reverse=True)
                if output.frame_idx < frame_index
            ]
            yield from (_unpacked(one) for one in reversed(earlier))
            for output in model.propagate_in_video_iterator(session, frame_index):
                yield _unpacked(self._tracked(session, processor, output))

    def _tracked(self, session: Any, processor: Any, output: Any) -> tuple[bytes, tuple[int, int], float] | None:
        """What a frame's output says, packed: the frames before the prompt must wait for their turn."""
        size = (int(session.video_height), int(session.video_width))
        masks = processor.post_process_masks([output.pred_masks.float()], original_sizes=[list(size)])[0]
        found = self._found(masks[0, 0], float(output.object_score_logits.float().sigmoid().flatten()[0]))
        return None if found is None else (encode(found.mask), size, found.score)


def _unpacked(packed: tuple[bytes, tuple[int, int], float] | None) -> dict[int, Found]:
    if packed is None:
        return {}
    mask = decode(packed[0], packed[1])
    return {1: Found(mask, box_of(mask), packed[2])}
