"""PostgreSQL and Redis as children: durable where they must be, gone when we are."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest

from odavl_hub.launcher.embedded import EmbeddedPostgres, EmbeddedServiceError, service_process
from odavl_hub.launcher.embedded.sockets import (
    LONGEST_SOCKET_PATH,
    client_address,
    make_private_folder,
    remove_client_address,
)


@contextmanager
def running(service: EmbeddedPostgres) -> Iterator[psutil.Process]:
    service.prepare()
    with (service.data / "log").open("ab") as log:
        process = service.start(log)
    try:
        service.wait(process)
        yield psutil.Process(process.pid)
    finally:
        service.stop(process)
        service.clean_up()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


def query(service: EmbeddedPostgres, text: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(service.url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_the_hubs_cluster_is_durable_checked_and_closed_to_the_network(data):
    service = EmbeddedPostgres(data)

    with running(service) as server:
        settings = dict(query(service, "SELECT name, setting FROM pg_settings"))
        listening = [item for item in server.net_connections() if item.status == "LISTEN"]

    assert settings["fsync"] == settings["synchronous_commit"] == "on"
    assert settings["full_page_writes"] == settings["data_checksums"] == "on"
    assert settings["listen_addresses"] == ""
    assert [item.family.name for item in listening] in ([], ["AF_UNIX"])


def test_our_role_is_no_superuser(data):
    service = EmbeddedPostgres(data)

    with running(service):
        (row,) = query(
            service, "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        )

    assert row == (False, True)


def test_what_was_committed_survives_a_killed_server(data):
    service = EmbeddedPostgres(data)
    with running(service) as server:
        query(service, "CREATE TABLE kept (n int)")
        query(service, "INSERT INTO kept VALUES (1)")
        children = server.children(recursive=True)
        server.kill()
        psutil.wait_procs([server, *children], timeout=300)

    with running(EmbeddedPostgres(data)):
        assert query(service, "SELECT n FROM kept") == [(1,)]


def test_a_lock_file_whose_number_went_to_another_program_is_no_obstacle(data):
    service = EmbeddedPostgres(data)
    with running(service):
        pass
    lock = service.cluster / "postmaster.pid"
    lock.write_text(f"{os.getppid()}\n{service.cluster}\n1\n5432\n\n\n\nready\n")
    if os.geteuid() == 0:
        os.chown(lock, service.cluster.stat().st_uid, -1)

    with running(service):
        assert query(service, "SELECT 1") == [(1,)]


def test_an_initialisation_that_was_cut_short_is_done_again(data):
    draft = data / "postgres" / "cluster.draft"
    draft.mkdir(parents=True)
    (draft / "half").write_text("done")

    with running(EmbeddedPostgres(data)) as server:
        assert server.is_running()
    assert not draft.exists()


def test_a_cluster_that_cannot_start_says_where_to_look(data):
    service = EmbeddedPostgres(data)
    with running(service):
        pass
    (service.cluster / "postgresql.conf").write_text("no_such_setting = 1\n")

    with (
        pytest.raises(EmbeddedServiceError, match=r"postgres\.log has the reason"),
        running(service),
    ):
        raise AssertionError("it started")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_runs_it_as_somebody_else_even_below_a_closed_folder(tmp_path):
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)

    with running(EmbeddedPostgres(closed / "data")) as server:
        assert server.uids().effective != 0
        assert server.parent().pid == os.getpid()


def test_a_server_dies_with_its_parent(data):
    service = EmbeddedPostgres(data)
    service.prepare()
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        process = service.start(os.open(os.devnull, os.O_WRONLY))
        service.wait(process)
        os.write(writing, str(process.pid).encode())
        signal.pause()
    server = psutil.Process(int(os.read(reading, 20)))

    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)

    gone, _ = psutil.wait_procs([server], timeout=300)
    assert gone == [server]


def test_a_deep_folder_is_named_by_a_short_link(tmp_path):
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()

    address = client_address(deep)

    assert len(os.fsencode(address / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH
    assert address.resolve() == deep
    assert address.parent.stat().st_mode & 0o777 == 0o700
    assert client_address(deep) == address
    remove_client_address(deep)
    assert not address.parent.exists()


def test_a_link_that_leads_elsewhere_is_set_right(tmp_path):
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    address = client_address(deep)
    address.unlink()
    address.symlink_to(tmp_path)

    assert client_address(deep).resolve() == deep
    remove_client_address(deep)


def test_where_somebody_else_was_first_another_folder_takes_the_link(tmp_path, monkeypatch):
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    with tempfile.TemporaryDirectory(prefix="odavl-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        planted = client_address(deep).parent
        remove_client_address(deep)
        planted.symlink_to(tmp_path)

        address = client_address(deep)

        assert address.resolve() == deep
        assert address.parent != planted
        remove_client_address(deep)
        assert planted.is_symlink()


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(EmbeddedServiceError, match="belongs to somebody else"):
        make_private_folder(tmp_path / "run", service_process.own_account())
