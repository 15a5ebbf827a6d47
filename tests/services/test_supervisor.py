"""One command starts the whole hub, and whatever ends it, nothing stays behind."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from contextlib import suppress

import psutil
import pytest

from odavl_hub.launcher.tree import FIRST_PAUSE, LONGEST_PAUSE, pause_after
from tests.hub_process import HubProcess, free_port, refused

pytestmark = [pytest.mark.end_to_end]


def health(hub: HubProcess) -> dict[str, object]:
    with urllib.request.urlopen(f"{hub.url}/api/health", timeout=300) as answer:
        return json.load(answer)


def memory(processes: list[psutil.Process]) -> int:
    """Proportional set size in bytes: shared pages are counted once."""
    return sum(process.memory_full_info().pss for process in processes)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_behind_and_the_data_is_kept(start_hub, ending):
    hub = start_hub()
    hub.wait_until_serving()
    everyone = hub.tree()
    assert len(everyone) > 10
    assert health(hub)["status"] == "ok"

    hub.send(ending)
    _, alive = psutil.wait_procs(everyone, timeout=300)

    assert alive == []
    assert hub.tree() == []
    again = start_hub()
    again.wait_for("password of the first start")
    assert health(again)["status"] == "ok"
    assert again.stop() == 0


def test_one_wish_that_arrives_twice_is_still_an_orderly_stop(start_hub):
    hub = start_hub()
    hub.wait_until_serving()

    hub.send(signal.SIGTERM)
    assert "hub: stopping\n" in iter(hub.process.stderr.readline, "")
    hub.send(signal.SIGTERM)

    _, said = hub.process.communicate(timeout=300)
    assert hub.process.returncode == 0
    assert "killing it" not in said


def test_the_orphan_reaper_killed_along_with_the_supervisor_changes_nothing(start_hub):
    hub = start_hub()
    hub.wait_until_serving()
    everyone = hub.tree()
    children = [process for process in everyone if process.ppid() == hub.process.pid]
    reaper = min(children, key=psutil.Process.create_time)

    reaper.kill()
    hub.send(signal.SIGKILL)
    _, alive = psutil.wait_procs(everyone, timeout=300)

    assert alive == []


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_what_a_shell_made_it_ignore_ends_it_all_the_same(start_hub, ending):
    background = ("sh", "-c", 'trap "" INT; exec nohup "$@"', "sh")
    hub = start_hub("hub", before=background)
    hub.wait_until_serving()
    everyone = hub.tree()

    hub.send(signal.SIGHUP)  # the terminal goes; nohup is a wish to stay
    assert health(hub)["status"] == "ok"
    hub.send(ending)

    _, alive = psutil.wait_procs(everyone, timeout=300)
    assert alive == []


@pytest.mark.parametrize("victim", ["redis", "postgres"])
def test_a_server_that_dies_is_started_again(start_hub, victim):
    hub = start_hub()
    hub.wait_until_serving()
    server = hub.server(victim)

    server.kill()

    psutil.wait_procs([server], timeout=300)
    wait_until_healthy(hub)
    assert hub.server(victim).pid != server.pid


def test_what_dies_at_its_start_waits_longer_each_time():
    pauses = [FIRST_PAUSE]
    while pauses[-1] < LONGEST_PAUSE:
        pauses.append(pause_after(pauses[-1], lived=0.1))

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30]
    assert pause_after(LONGEST_PAUSE, lived=0.1) == LONGEST_PAUSE


@pytest.mark.parametrize("pause", [0.5, 1, 4, 30])
def test_what_ran_and_is_killed_comes_back_at_once_however_often(pause):
    assert pause_after(pause, lived=min(60, 10 * pause) + 0.1) == FIRST_PAUSE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Only Linux has these names.")
def test_each_process_has_a_name_of_its_own(start_hub):
    hub = start_hub()
    hub.wait_until_serving()

    missing = {"hub-web", "hub-interactive", "hub-default", "hub-bulk", "hub-relay"}
    while missing:  # a child that was just forked has its parent's name; the time limit ends it
        for child in psutil.Process(hub.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # what makes the first owner ends by itself
                missing.discard(child.name())


def wait_until_healthy(hub: HubProcess) -> None:
    """Ask until the hub stands whole again; the test's own time limit ends what never does."""
    while True:
        try:
            if health(hub)["status"] == "ok":
                return
        except OSError:
            continue


def test_two_hubs_run_side_by_side(start_hub):
    hubs = [start_hub("one"), start_hub("two")]
    for hub in hubs:
        hub.wait_until_serving()

    assert [health(hub)["status"] for hub in hubs] == ["ok", "ok"]
    assert hubs[0].stop() == 0
    assert health(hubs[1])["status"] == "ok"


def test_the_whole_hub_at_rest_is_small(start_hub):
    hub = start_hub()
    hub.wait_until_serving()
    health(hub)

    assert memory(hub.tree()) < 500 * 1024 * 1024


def test_a_data_folder_may_be_deep(start_hub):
    hub = start_hub("deep" * 40)

    hub.wait_until_serving()

    assert health(hub)["status"] == "ok"


def test_secrets_and_password_are_for_the_owner_only(start_hub):
    hub = start_hub()
    hub.wait_until_serving()

    secrets = sorted((hub.data / "secrets").iterdir())

    assert [file.name for file in secrets] == ["api-key-pepper", "first-sign-in", "secret-key"]
    assert {file.stat().st_mode & 0o777 for file in secrets} == {0o600}
    assert (hub.data / "secrets").stat().st_mode & 0o777 == 0o700
    email, password = (hub.data / "secrets" / "first-sign-in").read_text().split()
    assert f"Sign in as {email} with the password {password} " in hub.output


def test_a_second_hub_on_the_same_data_is_refused(start_hub):
    hub = start_hub()
    hub.wait_until_serving()

    code, error = refused(hub.data)

    assert (code, error.count("\n")) == (2, 1)
    assert f"process {hub.process.pid}" in error
    assert "ODAVL_DATA" in error
    assert health(hub)["status"] == "ok"


def test_a_taken_port_is_refused_in_one_line(start_hub, tmp_path):
    hub = start_hub()
    hub.wait_until_serving()

    code, error = refused(tmp_path / "other", PORT=str(hub.port))

    assert code == 2
    assert error == (
        f"odavl hub: Port {hub.port} on 127.0.0.1 is taken: "
        "stop what listens there, or set PORT to another.\n"
    )


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "80 80", "٨٠"])
def test_a_port_that_is_none_is_refused_in_one_line(tmp_path, port):
    code, error = refused_with_port(tmp_path, port)

    assert code == 2
    assert error == f"odavl hub: PORT is {port!r}: set it to a number from 1 to 65535.\n"


def refused_with_port(tmp_path, port: str) -> tuple[int, str]:
    hub = HubProcess(tmp_path / "data", "--port", port)
    _, error = hub.process.communicate(timeout=300)
    return hub.process.returncode, error


def test_an_unwritable_data_folder_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")

    code, error = refused(tmp_path / "file" / "data")

    assert (code, error.count("\n")) == (2, 1)
    assert "cannot be written" in error
    assert "ODAVL_DATA" in error


def test_a_setting_that_cannot_be_read_is_refused_in_one_line(tmp_path):
    code, error = refused(tmp_path / "data", TRUSTED_PROXIES="10.0.0.0/8,nginx")

    assert code == 2
    assert error.splitlines()[-1].startswith("odavl hub: TRUSTED_PROXIES has 'nginx'. Write ")


def test_a_hub_for_others_says_what_its_settings_lack(start_hub):
    hub = start_hub(ODAVL_PUBLIC_URL="https://odavl.example", ALLOWED_HOSTS="127.0.0.1,localhost")
    hub.wait_until_serving()
    hub.send(signal.SIGTERM)
    _, said = hub.process.communicate(timeout=60)
    for name in ("TRUSTED_PROXIES", "EMAIL_HOST", "ALLOWED_HOSTS"):
        assert f"{name}" in said


@pytest.mark.parametrize(
    ("variable", "scheme", "path"),
    [("DATABASE_URL", "postgresql", "odavl"), ("REDIS_URL", "redis", "0")],
)
def test_a_dead_external_server_is_refused_in_one_line(tmp_path, variable, scheme, path):
    address = f"{scheme}://odavl:hunter2@127.0.0.1:{free_port()}/{path}"

    code, error = refused(tmp_path / "data", **{variable: address})

    assert (code, error.count("\n")) == (2, 1)
    assert "does not answer" in error
    assert variable in error
    assert "hunter2" not in error


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_an_analysis_under_way_ends_with_the_hub(start_hub, tmp_path, ending):
    project = tmp_path / "project"
    project.mkdir()
    for number in range(300):
        (project / f"module_{number}.py").write_text("import os\n" * 500)
    hub = start_hub("hub", "--analyze", str(project))
    hub.wait_until_serving()
    while not hub.runs("basedpyright"):
        assert hub.process.poll() is None
    everyone = hub.tree()

    hub.send(ending)
    _, alive = psutil.wait_procs(everyone, timeout=300)

    assert alive == []
