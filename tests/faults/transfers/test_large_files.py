"""A file of a gibibyte: both sides killed on the way, little memory on either."""

from __future__ import annotations

import os
import random
from pathlib import Path

import psutil
import pytest

from tests.faults.transfers.conftest import Client, Hub, kill, result_of, wait_for_share

pytestmark = [pytest.mark.end_to_end]
MEBIBYTE = 1024 * 1024
SIZE = int(os.environ.get("ODAVL_TEST_LARGE_MEBIBYTES", "160")) * MEBIBYTE
"""`make faults` sets 1,024; a sixth of that shows the same in seconds."""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A JSON object that gzip does not make smaller by much; no two chunks are equal."""
    path = tmp_path / "large.json"
    source = random.Random(os.urandom(8))
    with path.open("wb") as file:
        file.write(b'{"weights":"')
        while file.tell() < SIZE - 2:
            block = source.randbytes(3 * 1024 * 1024).translate(PRINTABLE)
            file.write(block[: SIZE - 2 - file.tell()])
        file.write(b'"}')
    return path


PRINTABLE = bytes(65 + value % 26 for value in range(256))


def test_a_large_file_survives_five_kills_of_the_client_and_three_of_the_web(
    client: Client, hub: Hub, large: Path
) -> None:
    for kills in range(5):
        sending = client.send(large, upload_type="ml-training")
        wait_for_share(sending, 0.1 + kills * 0.12)
        kill(sending)
    peaks: list[int] = []
    for kills in range(4):
        sending = client.send(large, upload_type="ml-training")
        if kills < 3:
            wait_for_share(sending, 0.65 + kills * 0.1)
            peaks += [memory(each) for each in hub.web_processes()]
            for process in hub.web_processes():
                process.kill()
        result = result_of(sending)
        if result["success"]:
            break
        assert result["state"] == "queued", result
    assert result["success"], result
    assert int(str(result["peakMebibytes"])) <= 100
    peaks += [memory(each) for each in hub.web_processes()]
    assert max(peaks) <= 150, peaks
    status, found = hub.call("GET", f"/upload/insight/{result['uploadId']}")
    assert (status, found["state"]) == (200, "completed")


def memory(process: psutil.Process) -> int:
    """Most that the process has held so far, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) // 1024
