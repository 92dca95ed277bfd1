from __future__ import annotations

import pytest

from bitfront.latency import measure
from tests.latency.bench import exported_before


@pytest.fixture(autouse=True)
def _exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes a second, and many tests measure one network."""
    monkeypatch.setattr(measure, "export_skeleton", exported_before)
