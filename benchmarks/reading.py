"""Reading with 100,000 issues in the database: lists, differences, pages.

What is measured is the whole request over loopback, which is a little more than the server's part.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec

from benchmarks.corpus import drifted, results_of_size
from benchmarks.hub import RunningHub, compressed, send
from benchmarks.table import Figure, Row, Table, measure

_LISTS = {
    "first page": "",
    "by severity": "&severity=high",
    "by rule": "&rule={rule}",
    "by a rule that is not there": "&rule=NOPE",
    "by folder": "&path=asyncio/",
    "by pattern": "&path=*test*",
    "new in the latest run": "&new=true",
    "by a text that is rare": "&text=zzqq",
    "by a text that is common": "&text=missing",
    "fixed ones": "&state=fixed",
    "sorted by path": "&sort=path",
}


def run(table: Table, hub: RunningHub, corpus: Path) -> None:
    body = msgspec.json.encode(results_of_size(corpus, 100_000))
    with hub.client() as client:
        before = send(client, compressed(body), projectName="reading")
        after = send(client, compressed(drifted(body)), projectName="reading")
        _diff(table, client, before, after)
        _lists(table, client)
        _deep_page(table, client)
        browser = signed_in(hub)
        _pages(table, browser, after)
        browser.close()


def _diff(table: Table, client: httpx.Client, before: str, after: str) -> None:
    def compare() -> None:
        answer = client.get(f"/insight/runs/{after}/diff?against={before}").raise_for_status()
        assert answer.json()["new"]["count"] == 1_000

    table.add(Row("difference of two runs of 100,000", measure(compare), "≤ 150 ms", 0.150))


def _lists(table: Table, client: httpx.Client) -> None:
    listed = client.get("/insight/issues?project=reading&limit=1").raise_for_status().json()
    rule = listed["items"][0]["rule"]
    for name, query in _LISTS.items():
        path = f"/insight/issues?project=reading&limit=50{query.format(rule=rule)}"
        figure = measure(_getter(client, path), runs=9)
        table.add(Row(f"issue list, {name}", figure, "≤ 50 ms", 0.050))


def _deep_page(table: Table, client: httpx.Client) -> None:
    path = "/insight/issues?project=reading&limit=200"
    answer = client.get(path).json()
    for _ in range(200):
        answer = client.get(f"{path}&cursor={answer['next']}").json()
    deep = f"/insight/issues?project=reading&limit=50&cursor={answer['next']}"
    table.add(Row("issue list, page 800", measure(_getter(client, deep), runs=9), "≤ 50 ms", 0.050))


def _pages(table: Table, browser: httpx.Client, run_id: str) -> None:
    for name, path in {
        "overview": "/en/home/",
        "project": "/en/home/projects/reading/",
        "run": f"/en/home/runs/{run_id}/",
        "issues": "/en/home/projects/reading/issues/",
        "issues, searched": "/en/home/projects/reading/issues/?text=zzqq",
    }.items():
        figure = measure(_getter(browser, path), runs=20)
        slowest = Figure((sorted(figure.values)[-2],))
        table.add(Row(f"page: {name}, p95 of 20", slowest, "≤ 100 ms", 0.100))


def signed_in(hub: RunningHub) -> httpx.Client:
    """A browser's session of the owner."""
    browser = httpx.Client(base_url=hub.url, follow_redirects=True, timeout=60, trust_env=False)
    page = browser.get("/en/accounts/login/").raise_for_status()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token is not None
    email, password = (hub.folder / "secrets" / "first-sign-in").read_text().split()
    form = {"login": email, "password": password, "csrfmiddlewaretoken": token[1]}
    answer = browser.post("/en/accounts/login/", data=form).raise_for_status()
    assert "login" not in str(answer.url), "the owner could not sign in"
    return browser


def _getter(client: httpx.Client, path: str) -> Callable[[], object]:
    return lambda: client.get(path).raise_for_status()
