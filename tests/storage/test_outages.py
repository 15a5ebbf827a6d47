"""A store that takes connections and says nothing: who asks is told soon, and few ask."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import BotoCoreError

from odavl.wire.errors import ServiceUnavailable
from storage.objects import outages, s3
from storage.objects.interface import ObjectMissing
from storage.objects.outages import Outage
from storage.objects.s3 import S3Options, S3Store


class SilentServer:
    """Accepts, counts and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self.taken.append(self._socket.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        for each in [self._socket, *self.taken]:
            each.close()


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.close()


def test_a_silent_store_is_asked_by_one_and_the_others_are_told_at_once(
    silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "PAUSE", 600.0)
    options = S3Options("bucket", silent.url, "", "here", "key", "secret")
    store = S3Store(options)
    store._client = s3._client(options, silent.url, attempts=2, seconds=1)
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        store.put("a/b", [b"bytes"])
    asked = len(silent.taken)
    assert asked >= 1
    with pytest.raises(ServiceUnavailable, match="does not answer") as told:
        store.exists("a/b")
    assert 0 < (told.value.retry_after or 0) <= outages.PAUSE
    assert len(silent.taken) == asked, "it is left alone"
    with pytest.raises(ServiceUnavailable):
        store.probe()
    assert len(silent.taken) > asked, "the probe finds out by itself"


def test_every_call_has_an_end(silent: SilentServer) -> None:
    configured = S3Store(S3Options("bucket", silent.url, "", "here", "key", "secret"))
    config = configured._client.meta.config
    assert (config.connect_timeout, config.read_timeout) == (3, 10)
    assert config.retries["total_max_attempts"] * (3 + 10) <= 60


def test_after_the_pause_one_tries_and_an_answer_ends_the_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outage = Outage(BotoCoreError)
    monkeypatch.setattr(outages, "PAUSE", 0.0)
    with pytest.raises(ServiceUnavailable, match="nothing"):
        fail(outage)
    with (
        outage.noticed(),
        pytest.raises(ServiceUnavailable, match="does not answer"),
        outage.noticed(),
    ):
        raise AssertionError("somebody else is trying")
    with outage.noticed(), outage.noticed():
        assert time.monotonic(), "nobody is refused any more"


def test_an_answer_is_no_outage_however_bad() -> None:
    outage = Outage(BotoCoreError)
    with pytest.raises(ObjectMissing), outage.noticed():
        raise ObjectMissing("a/b")
    with pytest.raises(ServiceUnavailable, match="refused"), outage.noticed():
        raise ServiceUnavailable("refused")
    with outage.noticed():
        assert time.monotonic(), "and so is nobody here"


def fail(outage: Outage) -> None:
    with outage.noticed():
        raise ServiceUnavailable("nothing") from BotoCoreError()
