"""A store that takes connections and says nothing: who asks is told soon, and few ask."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import BotoCoreError

from odavl.wire.errors import ServiceUnavailable
from storage.objects import outages, places, s3
from storage.objects.interface import ObjectMissing
from storage.objects.outages import Outage
from storage.objects.places import Places
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


def test_only_a_share_of_the_threads_waits_for_calls_that_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.0)
    outage = Outage(BotoCoreError, at_once=2)
    with outage.noticed():
        with outage.noticed():
            with (
                pytest.raises(ServiceUnavailable, match="long to answer") as told,
                outage.noticed(),
            ):
                raise AssertionError("there were two already")
            assert told.value.retry_after
        with outage.noticed():
            assert time.monotonic(), "there is a place again"


def test_who_finds_a_healthy_store_busy_waits_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PATIENCE", 600.0)
    outage = Outage(BotoCoreError, at_once=1)
    began = threading.Event()
    order: list[str] = []

    def second() -> None:
        began.set()
        with outage.noticed():
            order.append("second")

    waiting = threading.Thread(target=second)
    with outage.noticed():
        waiting.start()
        began.wait(60)
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]


def test_who_is_refused_a_place_says_nothing_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause goes on, and whoever was to try when it is over still may."""
    monkeypatch.setattr(places, "PATIENCE", 0.0)
    monkeypatch.setattr(outages, "PAUSE", 0.0)
    outage = Outage(BotoCoreError, at_once=1)
    with pytest.raises(ServiceUnavailable, match="nothing"):
        fail(outage)
    with (
        outage._places.taken(),
        pytest.raises(ServiceUnavailable, match="long to answer"),
        outage.noticed(),
    ):
        raise AssertionError("there is no place")
    with outage.noticed():
        assert time.monotonic(), "this one tries"


def test_a_store_that_answers_without_a_body_is_waited_for_by_a_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "PATIENCE", 0.0)
    server = BodilessServer()
    store = S3Store(S3Options("bucket", server.url, "", "here", "key", "secret"))
    counted = store._outage._places = CountedPlaces(1)
    reading = threading.Thread(target=read_in_vain, args=(store,))
    reading.start()
    try:
        assert counted.third.wait(60), "for its facts, for the answer, for the first of its bytes"
        with pytest.raises(ServiceUnavailable, match="long to answer"):
            store.exists("a/b")
    finally:
        server.close()
        reading.join(120)


class CountedPlaces(Places):
    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.third = threading.Event()
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        with super().taken():
            self._taken += 1
            if self._taken == 3:
                self.third.set()
            yield


def read_in_vain(store: S3Store) -> None:
    with suppress(ServiceUnavailable):
        list(store.pieces("a/b"))


class BodilessServer:
    """Says that there are bytes, and sends none before it is closed."""

    def __init__(self) -> None:
        self.ends = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_HEAD()
                outer.ends.wait(120)

            def log_message(self, *_: object) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.ends.set()
        self._server.shutdown()
        self._server.server_close()


def fail(outage: Outage) -> None:
    with outage.noticed():
        raise ServiceUnavailable("nothing") from BotoCoreError()
