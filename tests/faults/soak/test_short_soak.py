"""The soak in small: everybody is killed once while two clients upload."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.soak.killing import GROUPS, EachOnce
from tests.faults.soak.soak import Settings, Soak

PAYLOADS = 60
SEED = 1


@pytest.mark.end_to_end
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Only Linux names processes.")
def test_everybody_is_killed_and_every_payload_arrives_once(tmp_path: Path) -> None:
    settings = Settings(payloads=PAYLOADS, clients=2, seed=SEED, folder=tmp_path / "soak")

    outcome = Soak(settings, EachOnce(PAYLOADS)).run()

    sys.stderr.write(f"\n{outcome.table()}")
    assert outcome.deviations == []
    assert len(outcome.told) == PAYLOADS
    assert set(outcome.kills) == {victim.called for group in GROUPS for victim in group}
