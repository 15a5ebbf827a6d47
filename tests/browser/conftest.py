"""A real Chromium on a real server with really analysed code in it."""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from odavl.engines.insight.analyze import analyze
from odavl.wire.analysis import AnalysisResults
from odavl.wire.encoding import gzip_compress
from tests.cast import PASSWORD, Person

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",  # as root, in a container, Chromium runs no other way
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]
FIRST = '''"""Signs people in."""
import os, sys
import subprocess

PASSWORD = "hunter2hunter2"


def run(command):
    assert command
    return subprocess.call(command, shell=True)


def unused_mostly(first, second):
    try:
        return eval(first)
    except Exception:
        pass
'''
SECOND = FIRST.replace('PASSWORD = "hunter2hunter2"\n', "") + "\n\nimport json\nx = lambda: tmp\n"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("ODAVL_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("no Chromium on this machine; install one or name it in ODAVL_CHROMIUM")
    # Playwright's synchronous side runs a loop in this thread, which Django takes for async code;
    # it does so until the last database is torn down, so this stays.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@dataclass
class Site:
    """The hub as Alice sees it: where it is, and what went wrong while she looked."""

    address: str
    browser: Browser
    sign_in_state: dict[str, object]
    complaints: list[str] = field(default_factory=list)

    def visit(self, **options: object) -> Page:
        """A page in a browser of its own, signed in; every complaint of it is kept."""
        context = self.browser.new_context(
            base_url=self.address, storage_state=self.sign_in_state, **options
        )
        return watched(context, self.complaints)


def watched(context: BrowserContext, complaints: list[str]) -> Page:
    context.on("request", lambda request: _note_stranger(request.url, complaints))
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{page.url}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    return page


def _note_stranger(url: str, complaints: list[str]) -> None:
    host = urlsplit(url).hostname
    if host not in ("127.0.0.1", "localhost", None):
        complaints.append(f"asked {url}")


@pytest.fixture(scope="session")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> list[AnalysisResults]:
    """What ruff and bandit really say about a small project, before and after an edit."""
    folder = tmp_path_factory.mktemp("website")
    results = []
    for source in (FIRST, SECOND):
        (folder / "sign_in.py").write_text(source, encoding="utf-8")
        results.append(analyze(folder, detectors=("ruff", "bandit")))
    return results


@pytest.fixture
def site(
    live_server, alice: Person, browser: Browser, analysed: list[AnalysisResults]
) -> Iterator[Site]:
    """The hub with two runs in it, and Alice signed in."""
    for results in analysed:
        send(live_server.url, alice.token, results)
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    page.goto("/en/accounts/login/")
    page.get_by_label("Email").fill("alice@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/en/acme/")
    state = context.storage_state()
    context.close()
    seen = Site(live_server.url, browser, state)
    yield seen
    assert seen.complaints == []


def send(address: str, token: str, results: AnalysisResults) -> None:
    """Through the front door, as the command line does."""
    body = {
        "type": "analysis-results",
        "compressed": True,
        "data": b64encode(gzip_compress(msgspec.json.encode(results))).decode(),
        "metadata": {"projectName": "Website", "branch": "main"},
    }
    answer = httpx.post(
        f"{address}/api/v1/upload/insight",
        content=json.dumps(body),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        trust_env=False,
        timeout=300,
    )
    assert answer.status_code == 201, answer.text
