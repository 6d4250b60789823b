"""The small study that the models' tests share."""

import pytest

from childgait.files.parts import Part, open_part
from support.small_study import Study, make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def part(study: Study) -> Part:
    return open_part(study.train, study.clips)
