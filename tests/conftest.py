"""What all tests share. Its being here also puts this folder on the import path (support/)."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sam3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SAM 3 video model with random weights, saved like the real one."""
    from support.tiny_sam3 import build_sam3

    return build_sam3(tmp_path_factory.mktemp("sam3"))
