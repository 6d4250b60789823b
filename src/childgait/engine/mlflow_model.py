"""The trained model as MLflow serves it: give it `.clip.json` files of prepared clips, it answers probabilities.

    mlflow.pyfunc.load_model(uri).predict(pandas.DataFrame({"clip": ["…/0001-0001_left_1-240.clip.json"]}))

MLflow runs this file by itself (models from code); weights come from a safetensors file, never from a pickle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow


class GaitModel(mlflow.pyfunc.PythonModel):
    """Loads the description and the weights; predicts a row a clip, a column a target."""

    def load_context(self, context: Any) -> None:
        from safetensors.numpy import load_file

        self.description = json.loads(Path(context.artifacts["model"]).read_text(encoding="utf-8"))
        self.weights = load_file(context.artifacts["weights"])

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow would read the types
        import pandas as pd

        from childgait.domain.evgs import TARGET_NAMES
        from childgait.training.predict import probabilities_of_clips

        paths = [Path(path) for path in model_input["clip"]]
        return pd.DataFrame(probabilities_of_clips(self.description, self.weights, paths), columns=list(TARGET_NAMES))


mlflow.models.set_model(GaitModel())
