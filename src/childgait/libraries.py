"""The main libraries of a study, whose versions the records, the report and `childgait doctor` list."""

from __future__ import annotations

import importlib.metadata

# Name of the import -> name of the distribution, in the order of the report.
LIBRARIES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "transformers": "transformers",
    "numpy": "numpy",
    "scipy": "scipy",
    "polars": "polars",
    "pydantic": "pydantic",
    "sklearn": "scikit-learn",
    "av": "av",
    "cv2": "opencv-python-headless",
    "onnxruntime": "onnxruntime",
    "great_expectations": "great-expectations",
    "snakemake": "snakemake",
    "dvc": "dvc",
    "mlflow": "mlflow",
    "matplotlib": "matplotlib",
}


def installed_versions() -> dict[str, str]:
    """Map the installed ones of these libraries to their versions, without importing them."""
    versions = {}
    for distribution in LIBRARIES.values():
        try:
            versions[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
