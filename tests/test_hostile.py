"""Each malformed file of the table of findings becomes one sentence; bench/hostile.py also measures time and memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from childgait.errors import StepError
from support.hostile_deliveries import deliveries
from support.hostile_files import Try, tries


@pytest.mark.parametrize("one", [*tries(), *deliveries()], ids=lambda one: f"{one.group}: {one.title}"[:60])
def test_it_becomes_a_sentence(tmp_path: Path, one: Try) -> None:
    read = one.make(tmp_path)
    with pytest.raises(StepError) as caught:
        read()
    message = str(caught.value)
    assert one.message in message
    assert ". Hint: " in message
    assert "\n" not in message.replace(str(tmp_path), "")
    assert len(message) < 1500
