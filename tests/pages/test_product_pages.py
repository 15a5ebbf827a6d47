"""Autopilot's and Guardian's pages: what they show, to whom, and what it costs."""

from __future__ import annotations

import re

import pytest

from accounts.templatetags.shell import percent
from tests.autopilot.ledgers import edit, ledger
from tests.autopilot.ledgers import send as send_ledger
from tests.cast import Person
from tests.guardian.results import check, png, results
from tests.guardian.results import send as send_results


def text(html: bytes) -> str:
    """The page's words, white space folded."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.decode()).split())


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "\N{EN DASH}"),
        (0, "0%"),
        (0.001, "< 1%"),
        (0.5, "50%"),
        (0.9999, "> 99%"),
        (1, "100%"),
    ],
)
def test_only_all_is_a_hundred_percent(share: float | None, shown: str) -> None:
    assert percent(share) == shown


@pytest.fixture
def cycle(alice: Person, website: object) -> str:
    """The address of a cycle's page."""
    answer = send_ledger(alice.api, ledger(edits=[
        edit(diff="--- a\n+++ b\n@@ -1 +1 @@\n-old <b>\n+new"),
        edit("src/db.py", verdict="reverted", reason="Two tests failed."),
    ]))  # fmt: skip
    return f"/en/acme/autopilot/{answer.json()['runId']}/"


@pytest.fixture
def page_test(alice: Person, website: object) -> str:
    """The address of a test's page, with one screenshot of two."""
    send_results(alice.api, png(), "screenshot", fileName="home.png", testRunId="test-1")
    send_results(alice.api, {"score": 88}, "accessibility-report", testRunId="test-1")
    sent = results(screenshots=["home.png", "cart.png"], tests=[
        check("fine", "passed"), check("contrast", detail="Too <pale>"),
    ])  # fmt: skip
    return f"/en/acme/guardian/{send_results(alice.api, sent).json()['testId']}/"


@pytest.mark.parametrize(
    ("product", "command"),
    [("autopilot", "odavl autopilot upload"), ("guardian", "odavl guardian upload")],
)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_an_empty_page_says_what_to_do(
    alice: Person, product: str, command: str, language: str
) -> None:
    page = alice.page().get(f"/{language}/acme/{product}/")
    assert page.status_code == 200
    assert f'data-copy="{command}"' in page.content.decode()
    assert 'aria-current="page"' in page.content.decode()


def test_cycles_are_listed_with_what_came_of_them(alice: Person, cycle: str) -> None:
    recipes = {"recipes": [{"recipe": "sort-imports", "trust": 0.9, "blocked": True, "runs": 2}]}
    send_ledger(alice.api, recipes, "recipe-trust")
    shown = text(alice.page().get("/en/acme/autopilot/").content)
    assert "Success rate 100%" in shown
    assert "Website · run-1" in shown
    assert "sort-imports Website Blocked 2 runs 90%" in shown
    narrowed = alice.page().get("/en/acme/autopilot/?phase=failed")
    assert "No cycle matches" in text(narrowed.content)


def test_a_cycle_shows_its_phases_and_edits(alice: Person, cycle: str) -> None:
    html = alice.page().get(cycle).content
    shown = text(html)
    for phase in ("Observe", "Decide", "Act", "Verify", "Learn"):
        assert f"{phase} Completed 120 ms" in shown
    assert "src/db.py unused-import closes one finding Reverted Two tests failed." in shown
    assert b'<code class="diff-remove">-old &lt;b&gt;</code>' in html
    assert b'<code class="diff-add">+new</code>' in html
    assert b"--- a" not in html


def test_a_phase_that_was_not_reached_is_said_so(alice: Person, website: object) -> None:
    phases = {"observe": {"status": "completed"}, "decide": {"status": "odd"}}
    answer = send_ledger(alice.api, ledger(phase="decide", phases=phases, edits=[]))
    shown = text(alice.page().get(f"/en/acme/autopilot/{answer.json()['runId']}/").content)
    assert "Stopped at: Decide" in shown
    assert "Decide odd" in shown
    assert "Learn Not reached" in shown
    assert "Nothing was changed" in shown


def test_the_ledger_can_be_downloaded(alice: Person, cycle: str) -> None:
    answer = alice.page().get(f"{cycle}payload")
    assert b"run-1" in answer.getvalue()
    assert answer["Content-Disposition"].startswith("attachment")


def test_tests_are_listed_with_what_came_of_them(alice: Person, page_test: str) -> None:
    shown = text(alice.page().get("/en/acme/guardian/").content)
    assert "https://shop.example/ Website" in shown
    assert "Pass rate 33%" in shown
    narrowed = alice.page().get("/en/acme/guardian/?outcome=passed")
    assert "No test matches" in text(narrowed.content)


def test_a_test_shows_its_checks_worst_first_and_its_screenshots(
    alice: Person, page_test: str
) -> None:
    browser = alice.page()
    html = browser.get(page_test).content
    shown = text(html)
    assert shown.index("About contrast") < shown.index("About fine")
    assert "Too &lt;pale&gt;" in shown
    assert "One screenshot has not arrived: cart.png" in shown
    assert "Accessibility report accessibility 88" in shown
    address = re.search(rb'<img\s+src="([^"]+)"', html)
    assert address is not None
    picture = browser.get(address[1].decode())
    assert (picture.getvalue(), picture["Content-Type"]) == (png(), "image/png")


def test_an_address_that_is_no_web_page_is_no_link(alice: Person, website: object) -> None:
    answer = send_results(alice.api, results(url="javascript:alert(1)"))
    html = alice.page().get(f"/en/acme/guardian/{answer.json()['testId']}/").content
    assert b'href="javascript:' not in html
    assert b"javascript:alert(1)" in html


def test_strangers_see_nothing(alice: Person, charlie: Person, cycle: str, page_test: str) -> None:
    picture = re.search(rb'<img\s+src="([^"]+)"', alice.page().get(page_test).content)
    assert picture is not None
    addresses = [
        "/en/acme/autopilot/", cycle, f"{cycle}payload", "/en/acme/guardian/", page_test,
        f"{page_test}payload", f"{page_test}reports/accessibility-report", picture[1].decode(),
    ]  # fmt: skip
    for address in addresses:
        assert charlie.page().get(address).status_code == 404, address
        foreign = address.replace("/acme/", "/globex/")
        expected = 200 if address.count("/") == 4 else 404
        assert charlie.page().get(foreign).status_code == expected, foreign


@pytest.mark.parametrize(
    "query", ["?sort=x", "?project=gone", "?phase=x&outcome=x", "?cursor=%00", "?cursor=WyJmIl0"]
)
def test_a_strange_query_is_no_fault_of_the_hub(alice: Person, query: str) -> None:
    for product in ("autopilot", "guardian"):
        assert alice.page().get(f"/en/acme/{product}/{query}").status_code in (200, 400, 404)


def test_pages_cost_few_queries(
    alice: Person, cycle: str, page_test: str, django_assert_max_num_queries: object
) -> None:
    browser = alice.page()
    for number in range(5):
        send_ledger(alice.api, ledger(f"more-{number}"))
        send_results(alice.api, results(f"more-{number}"))
    for address in ("/en/acme/autopilot/", cycle, "/en/acme/guardian/", page_test):
        with django_assert_max_num_queries(10):
            assert browser.get(address).status_code == 200
