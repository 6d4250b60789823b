"""What all tests share. Its being here also puts this folder on the import path (support/)."""

from pathlib import Path

import pytest

# `make test` starts these files first: a process that takes one of them last would work alone at the end.
LONGEST = ("test_end_to_end.py", "test_planted_signal.py", "test_kills.py", "test_stale.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of the longest files to the front; each file's own order stays."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True)
def _no_mlflow_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the store that the shell or a training run of an earlier test has set: MLflow exports its address."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def sam3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SAM 3 video model with random weights, saved like the real one."""
    from support.tiny_sam3 import build_sam3

    return build_sam3(tmp_path_factory.mktemp("sam3"))
