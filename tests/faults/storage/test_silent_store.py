"""Row 47: an S3 that takes connections and never answers, while others want what needs none."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack

import httpx
import pytest

from tests.faults.hub_at_work import HubAtWork, measured, seconds_since
from tests.faults.storage.failing_store import FailingStore
from tests.hub_process import REPOSITORY
from tests.object_servers import SwiftServer, Unavailable

pytestmark = pytest.mark.end_to_end
AT_ONCE = 30
SHARE = 2
"""Of four threads, how many may wait for the store."""
PATIENCE = 240.0
SIGN_IN = """
import django
django.setup()
from django.conf import settings
from django.test import Client
from accounts.models import Membership
client = Client()
membership = Membership.across_organizations.select_related("user", "organization").get()
client.force_login(membership.user)
print(client.cookies[settings.SESSION_COOKIE_NAME].value, membership.organization.slug)
print(settings.SESSION_COOKIE_NAME)
"""


@pytest.fixture
def store() -> Iterator[FailingStore]:
    try:
        swift = SwiftServer()
    except Unavailable as reason:
        pytest.skip(str(reason))
    relay = FailingStore(swift.url)
    with ExitStack() as ending:
        ending.callback(swift.stop)
        ending.callback(relay.close)
        yield relay


@pytest.fixture
def hub(store: FailingStore) -> Iterator[HubAtWork]:
    static = REPOSITORY / "staticfiles"
    assert (static / "staticfiles.json").exists(), "The pages need their styles: make static"
    found = HubAtWork(
        STATIC_ROOT=str(static),
        WEB_WORKERS="1",
        WEB_THREADS="4",
        STORAGE_PROVIDER="s3",
        S3_BUCKET="odavl",
        S3_ENDPOINT_URL=store.url,
        S3_REGION="us-east-1",
        S3_ACCESS_KEY=SwiftServer.access_key,
        S3_SECRET_KEY=SwiftServer.secret_key,
        S3_ADDRESSING_STYLE="path",
    )
    yield found
    found.close()


def document() -> bytes:
    """Too large for a row."""
    fields = {"version": 1, "diagnostics": {}, "more": os.urandom(150_000).hex()}
    return gzip.compress(json.dumps(fields).encode(), 1)


def person_at(hub: HubAtWork) -> tuple[httpx.Client, str]:
    """A browser that is signed in, and the path of its overview."""
    made = hub.inside(SIGN_IN)
    assert made.returncode == 0, made.stderr.decode()
    session, slug, name = made.stdout.decode().split()
    browser = httpx.Client(
        base_url=hub.process.url, cookies={name: session}, timeout=PATIENCE, trust_env=False
    )
    return browser, f"/en/{slug}/"


def kept_payload(hub: HubAtWork) -> str:
    """The path of a payload that lies in the store."""
    sent = hub.upload(document(), branch="main")
    assert sent.status_code in {201, 202}, sent.text
    if sent.status_code == 202:
        hub.finished(sent.json()["jobId"])
    (run,) = hub.http.get("/insight/runs", params={"project": "shop"}).json()["items"]
    path = f"/insight/runs/{run['id']}/payload"
    assert hub.http.get(path).status_code == 200
    return path


def test_row_47_a_store_that_never_answers_keeps_no_page_waiting(
    hub: HubAtWork, store: FailingStore
) -> None:
    path = kept_payload(hub)
    browser, overview = person_at(hub)
    with browser, ThreadPoolExecutor(AT_ONCE) as asking:
        assert others(browser, overview, hub) == [200, 200]
        store.is_silent = True
        began = time.monotonic()
        under_way: set[Future[int]] = {
            asking.submit(upload, hub) if number % 2 else asking.submit(download, hub, path)
            for number in range(AT_ONCE)
        }
        told: list[int] = []
        # All but those that wait for the store are told at once; who that is, the hub decides.
        while len(under_way) > SHARE:
            ended, under_way = wait(under_way, PATIENCE, FIRST_COMPLETED)
            assert ended, f"{len(under_way)} are under way still"
            told += [each.result() for each in ended]
        refused = seconds_since(began)
        assert set(told) == {503}
        asked = time.monotonic()
        assert others(browser, overview, hub) == [200, 200]
        took = seconds_since(asked)
        assert not any(each.done() for each in under_way), "the store holds its share still"
        measured(
            f"row 47: {len(told)} of {AT_ONCE} refused within {refused:.1f} s, a page and a list "
            f"answered in {took * 1000:.0f} ms beside {len(under_way)} that wait"
        )
        store.is_silent = False
        store.may_go_on.set()
        wait(under_way, PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while (answer := hub.upload(document(), branch="main")).status_code == 503:
        assert time.monotonic() < deadline, answer.text
    assert answer.status_code in {201, 202}


def others(browser: httpx.Client, overview: str, hub: HubAtWork) -> list[int]:
    """What is answered to who needs no store."""
    page = browser.get(overview)
    return [page.status_code, hub.http.get("/projects").status_code]


def upload(hub: HubAtWork) -> int:
    return hub.upload(document(), branch="main").status_code


def download(hub: HubAtWork, path: str) -> int:
    return hub.http.get(path).status_code
