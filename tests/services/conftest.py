from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hub_process import HubProcess

StartHub = Callable[..., HubProcess]


@pytest.fixture
def start_hub(tmp_path: Path) -> Iterator[StartHub]:
    """Starts hubs, ``name`` being their data folder; none of them outlives the test."""
    hubs = []

    def start(
        name: str = "hub", *arguments: str, before: tuple[str, ...] = (), **environment: str
    ) -> HubProcess:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        hubs.append(HubProcess(home / "data", *arguments, before=before, **environment))
        return hubs[-1]

    yield start
    for hub in hubs:
        hub.kill_all()
