"""Loads a model and its processor from a folder that transformers saved, offline and completely.

transformers fills weights that the file lacks with random numbers, and a network with NaN finds nothing: heads would
stay bare without a word. Both are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from childgait.errors import StepError
from childgait.user_files import shorten, shorten_error


def load_folder(folder: Path, model_class: Any, processor_class: Any, what: str, **options: Any) -> tuple[Any, Any]:
    """Return model and processor; `what` names the model in messages, `options` go to the model."""
    hint = "copy the model's folder again: weights, configuration and processor, as transformers saved them"
    try:
        model, info = model_class.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
        processor = processor_class.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # a wrong value in one of its JSON files may raise anything
        raise StepError(f"{folder} does not load as {what} ({shorten_error(error)})", hint=hint) from error
    if missing := sorted(info["missing_keys"]):
        raise StepError(
            f"{folder} lacks {len(missing)} weights of {what}, such as {shorten(missing[0])}: its configuration is of "
            "another model",
            hint=hint,
        )
    if bad := next((name for name, value in model.named_parameters() if not value.isfinite().all()), None):
        raise StepError(f"{folder} contains NaN or infinity in {shorten(bad)}", hint="give other weights")
    return model, processor
