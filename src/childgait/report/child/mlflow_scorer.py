"""A bundle in MLflow's format: scores children from the paths of their videos, by the code of `childgait score`.

    mlflow.pyfunc.load_model("models:/childgait/1").predict(pandas.DataFrame({"path": ["data/raw/dataset/0007"]}))

One row per video or child's folder, with the columns of `childgait score --table`; a row per limb and item comes back.
MLflow executes this file (models from code); the bundle is JSON and safetensors, never a pickle. Pages and files are
kept if the parameter `out` names a folder.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import Any

import mlflow

ONE_AT_A_TIME = threading.Lock()  # the steps change the working folder of the process


class BundleModel(mlflow.pyfunc.PythonModel):
    """The bundle of a study; predicts one row per limb and item of every child and session."""

    def load_context(self, context: Any) -> None:
        from childgait.training.bundle import open_bundle_files

        self.bundle = open_bundle_files(Path(context.artifacts["description"]), Path(context.artifacts["weights"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow would read the types
        import pandas as pd

        from childgait.engine.mlflow_registry import OUTPUT_COLUMNS, OUTPUT_NUMBERS
        from childgait.errors import StepError
        from childgait.report.child.score import score_requests
        from childgait.report.child.visits_table import group_requests

        out = (params or {}).get("out") or None
        with ONE_AT_A_TIME, contextlib.ExitStack() as stack:
            folder = Path(out) if out else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="childgait-")))
            try:
                requests = group_requests(_rows(model_input), "the input", Path())
                records = score_requests(requests, self.bundle, folder, None, processes=1)
            except StepError as error:
                raise mlflow.MlflowException.invalid_parameter_value(f"{error.message} ({error.hint})") from None
        rows = [
            (
                *(record.child, record.session, item.target, item.limb, item.code, item.answer, item.reason or ""),
                *(item.probability, item.rule.value if item.rule else None),
            )
            for record in records
            for item in record.items
        ]
        frame = pd.DataFrame(rows, columns=[*OUTPUT_COLUMNS, *OUTPUT_NUMBERS])
        return frame.astype(dict.fromkeys(OUTPUT_NUMBERS, "float64"))


def _rows(frame: Any) -> list[tuple[int, dict[str, str]]]:
    """Return the rows as a table of visits has them: text, empty where unknown, numbered from 1."""
    text = frame.astype(object).where(frame.notna(), "").astype(str)
    return [(number, dict(row)) for number, row in enumerate(text.to_dict("records"), start=1)]


mlflow.models.set_model(BundleModel())
