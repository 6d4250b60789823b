"""SAM 3 on a video: by text prompts (`text`), or by a box, points or a mask on one frame (`track`).

A thin wrapper over transformers. It adds:

- weights by folder and sha256, never downloaded: the hub is switched off, and so is the compiled code that transformers
  would download for duplicates, holes and specks; those are removed here (`distinct`, `clean`);
- a new session per video (a reset one keeps hidden objects);
- frames enter one at a time and are kept at the model's size (bfloat16, main memory), so that 300 frames of 1920x1080
  need 1.9 GB and not 11; yet the model has the whole video, which unlike streaming lets it drop false starts.

Reads RGB frames, uint8 (height, width, 3). Yields {object id: SegmentedObject(mask, box, score)} per frame, in order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from childgait.domain.boxes import Box
from childgait.errors import StepError
from childgait.files.masks import Mask, decode, encode
from childgait.files.weights import check_sha256
from childgait.user_files import read_model_config
from childgait.vision.model_folder import load_folder

if TYPE_CHECKING:
    import torch

WEIGHTS = "model.safetensors"
DUPLICATE_OVERLAP = 0.7  # IoU from which two objects of a frame are duplicates


class SegmentedObject(NamedTuple):
    """One object in one frame."""

    mask: Mask
    box: Box  # x0, y0, x1, y1, the latter exclusive
    score: float


def box_of(mask: Mask) -> Box:
    """Return the box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def clean(mask: Mask, min_pixels: int) -> Mask:
    """Remove specks and fill holes of fewer pixels than that. The largest piece always stays."""
    cleaned = mask.astype(np.uint8)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(cleaned, connectivity=8)
    if count > 2:
        areas = statistics[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        keep = areas >= min_pixels
        keep[int(areas.argmax())] = True
        cleaned = keep[labels].astype(np.uint8)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(1 - cleaned, connectivity=4)
    small = statistics[:, cv2.CC_STAT_AREA] < min_pixels
    small[0] = False  # label 0 is the mask itself
    return (cleaned > 0) | small[labels]


def distinct(objects: dict[int, SegmentedObject], overlap: float = DUPLICATE_OVERLAP) -> dict[int, SegmentedObject]:
    """Keep one object of each set of duplicates: the best score, then the lowest number."""
    separate: dict[int, SegmentedObject] = {}
    for number in sorted(objects, key=lambda i: (-objects[i].score, i)):
        mask = objects[number].mask
        if all((mask & other.mask).sum() < overlap * max((mask | other.mask).sum(), 1) for other in separate.values()):
            separate[number] = objects[number]
    return {number: separate[number] for number in sorted(separate)}


def check_weights(folder: Path, expected: str, key: str) -> Path:
    """Return the weights file; fail if it is not the one that params.yaml gives."""
    file = folder / WEIGHTS
    if not file.is_file():
        raise StepError(f"{folder} contains no {WEIGHTS}", hint="put SAM 3 there: weights, configuration and processor")
    check_sha256(file, expected, key=key)
    kind = read_model_config(folder).get("model_type", "no configuration")
    if kind != "sam3_video":
        raise StepError(
            f"{folder} contains {str(kind)[:80]}, not sam3_video", hint="give the folder of a SAM 3 video model"
        )
    return file


def _offline() -> None:
    """Forbid downloads: of weights, and of the optional compiled code of transformers."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers.models.sam3_video import modeling_sam3_video
    from transformers.utils import logging

    logging.disable_progress_bar()  # of loading weights: the output is a log file
    modeling_sam3_video.cv_utils_kernel = False  # as after a failed download; `distinct` and `clean` replace it


class Sam3:
    """The models of one folder. Both share a weights file; each is loaded when first used."""

    def __init__(
        self,
        folder: Path,
        expected_sha256: str,
        *,
        key: str = "sam3_sha256",
        device: str = "cpu",
        smallest_share: float = 2e-4,
    ) -> None:
        check_weights(folder, expected_sha256, key)
        _offline()
        self.folder, self.device, self.smallest_share = folder, device, smallest_share
        self._loaded: dict[str, tuple[Any, Any]] = {}

    def _load(self, kind: str) -> tuple[Any, Any]:
        """Load model and processor: `Sam3Video` (text) or `Sam3TrackerVideo` (box, points, mask)."""
        if kind not in self._loaded:
            import torch
            import transformers

            model, processor = load_folder(
                self.folder,
                getattr(transformers, kind + "Model"),
                getattr(transformers, kind + "Processor"),
                f"{kind} of SAM 3",
                dtype=torch.bfloat16,
            )
            self._loaded[kind] = model.to(self.device).eval(), processor
        return self._loaded[kind]

    def _session(self, processor: Any, frames: Iterable[NDArray[np.uint8]]) -> Any:
        """Open a session with the whole video, added frame by frame at the model's size, in main memory."""
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
            raise StepError(
                "SAM 3 was given a video without frames", hint="no frame was decoded from it: check the file"
            )
        return session

    def _object(self, mask: torch.Tensor, score: float) -> SegmentedObject | None:
        pixels = mask.cpu().numpy()
        pixels = clean(pixels, max(round(self.smallest_share * pixels.size), 2))
        return SegmentedObject(pixels, box_of(pixels), score) if pixels.any() else None

    def text(self, frames: Iterable[NDArray[np.uint8]], prompts: Sequence[str]) -> Iterator[dict[int, SegmentedObject]]:
        """Yield per frame every object that a prompt describes, with one number for the whole video."""
        import torch

        model, processor = self._load("Sam3Video")
        session = self._session(processor, frames)
        processor.add_text_prompt(session, list(prompts))
        with torch.inference_mode():
            for output in model.propagate_in_video_iterator(session, start_frame_idx=0):
                result = processor.postprocess_outputs(session, output)
                numbers, scores = result["object_ids"].tolist(), result["scores"].tolist()
                objects = {n: self._object(result["masks"][i], float(scores[i])) for i, n in enumerate(numbers)}
                yield distinct({n: one for n, one in objects.items() if one is not None})

    def track(
        self,
        frames: Iterable[NDArray[np.uint8]],
        *,
        frame_index: int,
        box: Box | None = None,
        points: Sequence[tuple[float, float]] | None = None,
        mask: Mask | None = None,
    ) -> Iterator[dict[int, SegmentedObject]]:
        """Track one object both ways from the frame where a box, points or a mask prompt it; its number is 1."""
        import torch

        assert sum(prompt is not None for prompt in (box, points, mask)) == 1, "one prompt: box, points or mask"
        model, processor = self._load("Sam3TrackerVideo")
        session = self._session(processor, frames)
        if not 0 <= frame_index < session.num_frames:
            raise StepError(
                f"the prompt is for frame {frame_index} of a video of {session.num_frames} frames",
                hint="frames count from 0",
            )
        prompt: dict[str, object]
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
        """Pack the object of one output frame: the frames before the prompt are kept until their turn."""
        size = (int(session.video_height), int(session.video_width))
        masks = processor.post_process_masks([output.pred_masks.float()], original_sizes=[list(size)])[0]
        one = self._object(masks[0, 0], float(output.object_score_logits.float().sigmoid().flatten()[0]))
        return None if one is None else (encode(one.mask), size, one.score)


def _unpacked(packed: tuple[bytes, tuple[int, int], float] | None) -> dict[int, SegmentedObject]:
    if packed is None:
        return {}
    mask = decode(packed[0], packed[1])
    return {1: SegmentedObject(mask, box_of(mask), packed[2])}
