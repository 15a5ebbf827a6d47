"""Who is told the hub's secrets: the hub's own processes, and nobody that they start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.hub_process import HubProcess

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="There is no /proc."),
]
GIVEN = {
    "SECRET_KEY": "given-secret-key-of-the-hub-which-is-long-enough-for-every-check",
    "API_KEY_PEPPER": "given-pepper-of-the-hub-which-is-long-enough-for-every-check",
    "S3_SECRET_KEY": "given-key-of-the-store",
    "AZURE_CONNECTION_STRING": "given-connection-string",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Large enough that its analysis can be looked at."""
    folder = tmp_path / "project"
    folder.mkdir()
    for number in range(300):
        (folder / f"module_{number}.py").write_text("import os\n" * 500)
    return folder


@pytest.fixture(params=[{}, GIVEN], ids=["made by the hub", "given by the operator"])
def hub(request: pytest.FixtureRequest, tmp_path: Path, project: Path) -> Iterator[HubProcess]:
    given = dict(request.param)
    hub = HubProcess(tmp_path / "data", "--analyze", str(project), **given)
    try:
        hub.wait_until_serving()
        yield hub
    finally:
        hub.kill_all()


def secrets_of(hub: HubProcess) -> list[bytes]:
    kept = (hub.data / "secrets").glob("*-*")
    found = [path.read_bytes().strip() for path in kept if path.name != "first-sign-in"]
    given = [value.encode() for value in GIVEN.values() if knows(hub.process.pid, value.encode())]
    assert len(found) == 2 or len(given) == len(GIVEN)
    return found + given


def knows(pid: int, secret: bytes) -> bool:
    with suppress(OSError):
        return secret in Path(f"/proc/{pid}/environ").read_bytes()
    return False


def is_a_service(process: psutil.Process) -> bool:
    names = ("postgres", "redis-server", "valkey-server")
    return any(name in " ".join(process.cmdline()[:1]) for name in names)


def test_row_63_no_service_is_told_a_secret(hub: HubProcess) -> None:
    secrets = secrets_of(hub)

    services = [process for process in hub.tree() if is_a_service(process)]
    family = [*services, *(each for one in services for each in one.children(recursive=True))]

    assert len(services) > 5  # a PostgreSQL is a handful of processes
    assert not [each for each in family for secret in secrets if knows(each.pid, secret)]
    (server,) = [each for each in services if "-D" in each.cmdline()]
    assert knows(server.pid, b"PATH=")  # so it could be read


def test_row_63_no_detector_is_told_a_secret(hub: HubProcess) -> None:
    secrets = secrets_of(hub)
    seen: set[str] = set()

    while "basedpyright" not in seen:  # the test's own time limit ends what never comes
        assert hub.process.poll() is None
        for process in hub.tree():
            with suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())
                if "-m odavl" in line or "basedpyright" in line:
                    assert not [secret for secret in secrets if knows(process.pid, secret)]
                    seen.add("basedpyright" if "basedpyright" in line else "odavl")

    assert "odavl" in seen
