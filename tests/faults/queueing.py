"""An upload in the queue of the real command line, for faults to happen to."""

from __future__ import annotations

from tests.client.fixtures import Odavl
from tests.client.small_hub import TOKEN, SmallHub

AWAY = "http://127.0.0.1:9"
SARIF = '{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": []}]}'


def enqueue(odavl: Odavl, address: str = AWAY, file: str = "in.sarif") -> None:
    result = odavl(
        "insight", "import", file, "--upload", ODAVL_CLOUD_API=address, ODAVL_API_KEY="odavl_wrong"
    )
    assert result.returncode in {3, 4}, result.stderr


def settings(hub: SmallHub) -> dict[str, str]:
    return {"ODAVL_CLOUD_API": hub.address, "ODAVL_API_KEY": TOKEN}
