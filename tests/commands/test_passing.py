"""What is queued goes out by itself after a command that reached the hub."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from odavl.hub.queue.sending import LARGEST, SECONDS, Sender, send_in_passing
from odavl.hub.queue.store import UploadQueue
from odavl.wire.errors import MissingScope, ServerFault
from tests.client.fixtures import Odavl, command, command_environment, on_a_terminal
from tests.client.queued import enqueue
from tests.client.small_hub import TOKEN, SmallHub, cut, problem
from tests.faults.queueing import SARIF

LARGE = b"x" * (LARGEST + 1)


def signed_in(hub: SmallHub) -> dict[str, str]:
    return {"ODAVL_CLOUD_API": hub.address, "ODAVL_API_KEY": TOKEN}


def sender(home: Path, hub: SmallHub) -> Sender:
    return Sender(home=home, address=hub.address, token=TOKEN)


def payloads(hub: SmallHub) -> list[bytes]:
    return [run.payload for run in hub.runs]


def waiting(home: Path) -> list[str]:
    return [item.state for item in UploadQueue(home).content().items]


@pytest.mark.parametrize(
    "arguments",
    [
        ["whoami"],
        ["projects"],
        ["link", "--create", "shop"],
        ["keys", "list"],
        ["keys", "create", "ci"],
        ["login", "--token", TOKEN],
    ],
)
def test_after_any_command_that_reached_the_hub(
    odavl: Odavl, home: Path, small_hub: SmallHub, arguments: list[str]
) -> None:
    for body in (b"one", b"two"):
        enqueue(home, small_hub.address, body)
    result = odavl(*arguments, **signed_in(small_hub))
    assert result.returncode == 0
    assert result.stderr.endswith("Sent 2 queued uploads.\n")
    assert "Sent" not in result.stdout
    assert payloads(small_hub) == [b"one", b"two"]
    assert waiting(home) == []


def test_the_data_comes_first_and_stays_what_it_was(
    odavl: Odavl, home: Path, small_hub: SmallHub
) -> None:
    before = odavl("whoami", "--json", **signed_in(small_hub))
    enqueue(home, small_hub.address)
    after = odavl("whoami", "--json", "-q", **signed_in(small_hub))
    assert (after.stdout, after.stderr) == (before.stdout, "")
    assert len(small_hub.runs) == 1


def test_nothing_is_asked_for_an_empty_queue(odavl: Odavl, home: Path, small_hub: SmallHub) -> None:
    enqueue(home, "http://other.example.com")
    odavl("whoami", **signed_in(small_hub))
    assert [each.path for each in small_hub.seen] == ["/api/v1/auth/whoami"]
    assert waiting(home) == ["queued"]


@pytest.mark.parametrize("arguments", [["doctor"], ["keys", "revoke", "nix"]])
def test_not_after_a_look_around_or_a_failure(
    odavl: Odavl, home: Path, small_hub: SmallHub, arguments: list[str]
) -> None:
    enqueue(home, small_hub.address)
    odavl(*arguments, **signed_in(small_hub))
    assert small_hub.runs == []


def test_its_failure_is_not_the_commands(odavl: Odavl, home: Path, small_hub: SmallHub) -> None:
    for fault in (cut, problem(ServerFault())):
        enqueue(home, small_hub.address)
        small_hub.faults.append(fault)
    result = odavl("whoami", **signed_in(small_hub))
    assert result.returncode == 0
    assert "Not taken: " in result.stderr
    assert set(waiting(home)) == {"queued"}


def test_a_queue_that_cannot_be_read_is_not_the_commands_failure_either(
    odavl: Odavl, home: Path, small_hub: SmallHub
) -> None:
    enqueue(home, small_hub.address)
    (home / "queue").rename(home / "elsewhere")
    (home / "queue").symlink_to(home / "elsewhere")
    result = odavl("whoami", **signed_in(small_hub))
    assert (result.returncode, result.stderr) == (0, "")
    assert "not a folder" in odavl("whoami", "-v", **signed_in(small_hub)).stderr


def test_what_the_key_may_not_do_waits_for_another_key(
    odavl: Odavl, home: Path, small_hub: SmallHub
) -> None:
    enqueue(home, small_hub.address)
    small_hub.faults.append(problem(MissingScope("insight:write")))
    for _ in range(3):
        assert odavl("whoami", **signed_in(small_hub)).returncode == 0
    assert len(small_hub.uploads_seen()) == 1
    assert waiting(home) == ["held"]
    odavl("login", "--token", TOKEN, ODAVL_CLOUD_API=small_hub.address)
    assert waiting(home) == []


def test_a_large_one_is_told_in_a_pipeline(odavl: Odavl, home: Path, small_hub: SmallHub) -> None:
    enqueue(home, small_hub.address, LARGE)
    result = odavl("whoami", **signed_in(small_hub))
    assert result.stderr == "Still queued: 1 upload. Send: odavl sync process-queue\n"
    assert small_hub.runs == []


def test_on_a_terminal_a_large_one_goes_out_in_the_background(
    home: Path, project: Path, small_hub: SmallHub
) -> None:
    enqueue(home, small_hub.address, LARGE)
    (home / "json.py").write_text("raise SystemExit('not the one that is meant')")
    arrived = threading.Event()
    small_hub.faults.append(lambda _handler: arrived.set() or False)
    seen = on_a_terminal(["whoami"], home, project, **signed_in(small_hub))
    assert "1 more queued upload will go out in the background." in seen
    assert arrived.wait(300)
    with UploadQueue(home).sending(wait=True):  # after the other process
        assert waiting(home) == []
    assert payloads(small_hub) == [LARGE]


def test_no_process_stays_behind_in_ci(home: Path, project: Path, small_hub: SmallHub) -> None:
    enqueue(home, small_hub.address, LARGE)
    seen = on_a_terminal(["whoami"], home, project, **signed_in(small_hub), CI="true")
    assert "Still queued: 1 upload." in seen


def test_ctrl_c_ends_it_and_loses_nothing(home: Path, project: Path, small_hub: SmallHub) -> None:
    enqueue(home, small_hub.address)
    arrived, released = threading.Event(), threading.Event()
    small_hub.faults.append(lambda _handler: arrived.set() or released.wait(300))
    process = subprocess.Popen(
        command("whoami", "--json"),
        cwd=project,
        env=command_environment(home, **signed_in(small_hub)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert arrived.wait(300)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=300)
    released.set()
    assert (process.returncode, stderr) == (0, "Interrupted; what was not sent still waits.\n")
    assert json.loads(stdout)["hub"] == small_hub.address
    assert waiting(home) == ["queued"]


def test_it_begins_nothing_after_its_time(home: Path, small_hub: SmallHub) -> None:
    for _ in range(5):
        enqueue(home, small_hub.address)
    clock = iter([0.0, 0.1, 0.2, SECONDS + 0.1, SECONDS + 0.2, SECONDS + 0.3])
    sent = send_in_passing(sender(home, small_hub), now=lambda: next(clock))
    assert (sent.sent, sent.failed, sent.due) == (2, 0, 3)
    assert len(waiting(home)) == 3


def test_it_gives_way_to_another_sender(home: Path, small_hub: SmallHub) -> None:
    enqueue(home, small_hub.address)
    with UploadQueue(home).sending(wait=True):
        sent = send_in_passing(sender(home, small_hub))
    assert (sent.sent, sent.due) == (0, 0)
    assert small_hub.runs == []


SENT_ALONE = [
    ["insight", "import", "in.sarif", "--upload", "--json"],
    ["autopilot", "upload", "--json"],
    ["guardian", "upload", "--json"],
]


def prepare(project: Path) -> None:
    """Something for each of ``SENT_ALONE`` to send."""
    (project / "in.sarif").write_text(SARIF)
    for name in ("ledger/run-r1.json", "guardian/test-t1.json"):
        path = project / ".odavl" / name
        path.parent.mkdir(parents=True)
        path.write_text("{}")


@pytest.mark.parametrize("arguments", SENT_ALONE)
def test_what_is_waited_for_goes_first_and_the_queue_after_it(
    odavl: Odavl, home: Path, project: Path, small_hub: SmallHub, arguments: list[str]
) -> None:
    """In a pipeline all of it follows, the large ones too: what stays behind may be lost there."""
    prepare(project)
    queued = [b"one", LARGE, b"three"]
    for body in queued:
        enqueue(home, small_hub.address, body)
    result = odavl(*arguments, **signed_in(small_hub))
    assert result.returncode == 0, result.stderr
    assert result.stderr.endswith("Sent 3 queued uploads.\n")
    assert payloads(small_hub)[1:] == queued
    assert small_hub.runs[0].payload not in queued
    assert waiting(home) == []


def test_the_result_is_told_before_the_queue_is_looked_at(
    home: Path, project: Path, small_hub: SmallHub
) -> None:
    """The hub holds back its answer to a queued upload until the result was read."""
    prepare(project)
    enqueue(home, small_hub.address)
    result_was_read = threading.Event()
    small_hub.faults.extend([lambda _handler: False, lambda _handler: not result_was_read.wait(60)])
    process = subprocess.Popen(
        command(*SENT_ALONE[0]),
        cwd=project,
        env=command_environment(home, **signed_in(small_hub)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, b"}\n")
    document = json.loads(b"".join([*lines, b"}"]))
    result_was_read.set()
    _, told = process.communicate(timeout=60)
    assert document["upload"]["state"] == "stored"
    assert (process.returncode, told.decode().splitlines()[-1]) == (0, "Sent 1 queued upload.")


def test_after_an_upload_on_a_terminal_the_rest_goes_on_in_the_background(
    home: Path, project: Path, small_hub: SmallHub
) -> None:
    prepare(project)
    enqueue(home, small_hub.address, LARGE)
    arrived = threading.Event()
    small_hub.faults.extend([lambda _handler: False, lambda _handler: arrived.set() or False])
    seen = on_a_terminal(SENT_ALONE[0][:-1], home, project, **signed_in(small_hub))
    assert "1 more queued upload will go out in the background." in seen
    assert arrived.wait(60)
    with UploadQueue(home).sending(wait=True):  # after the other process
        assert waiting(home) == []


def test_a_hub_that_took_nothing_gets_nothing_more(
    odavl: Odavl, home: Path, project: Path, small_hub: SmallHub
) -> None:
    prepare(project)
    enqueue(home, small_hub.address)
    small_hub.faults.extend([problem(ServerFault())] * 3)
    assert odavl(*SENT_ALONE[0], **signed_in(small_hub)).returncode == 3
    assert (len(small_hub.uploads_seen()), len(waiting(home))) == (3, 2)
