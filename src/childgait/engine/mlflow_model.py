"""The trained model in MLflow's format: predicts probabilities from `.clip.json` files of prepared clips.

    mlflow.pyfunc.load_model(uri).predict(pandas.DataFrame({"clip": ["…/0001-0001_left_1-240.clip.json"]}))

MLflow executes this file (models from code); weights are read from a safetensors file, never from a pickle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow


class GaitModel(mlflow.pyfunc.PythonModel):
    """Model with description and weights; predicts one row per clip with one column per target."""

    def load_context(self, context: Any) -> None:
        from safetensors.numpy import load_file

        from childgait.files.model_description import ModelDescription
        from childgait.training.predict import TrainedModel

        description = ModelDescription.read(Path(context.artifacts["model"]))
        self.model = TrainedModel(description, load_file(context.artifacts["weights"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow would read the types
        import pandas as pd

        from childgait.domain.evgs import TARGET_NAMES
        from childgait.training.predict import probabilities_of_clips

        paths = [Path(path) for path in model_input["clip"]]
        return pd.DataFrame(probabilities_of_clips(self.model, paths), columns=list(TARGET_NAMES))


mlflow.models.set_model(GaitModel())
