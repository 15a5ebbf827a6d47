"""Insight's pages: real numbers, filters in the address, decisions, and nothing for strangers."""

from __future__ import annotations

import gzip
import json
import re
from html import unescape

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Project, Role
from accounts.services import add_member, create_user
from insight.models import Issue, Run, RunState, TriageEvent
from tests.cast import PASSWORD, Person
from tests.insight.documents import finding, upload

PROJECT = "/en/acme/projects/website/"
ISSUES = f"{PROJECT}issues/"


def shown(client: Client, address: str, **headers: str) -> str:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, f"{address}: {answer.status_code}"
    return answer.content.decode()


def text_of(page: str) -> str:
    body = re.sub(r"<script.*?</script>|<[^>]+>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(body))


def listed(page: str) -> list[str]:
    return [
        unescape(text) for text in re.findall(r'class="issue-link"[^>]*><bdi>(.*?)</bdi>', page)
    ]


def issue_called(message: str) -> Issue:
    return Issue.across_organizations.get(message=f"about {message}")


# ── What the numbers are ─────────────────────────────────────────────────────


def test_the_overview_sums_up_the_projects(alice: Person, two_runs):
    text = text_of(shown(alice.page(), "/en/acme/"))
    assert "Open issues 3" in text
    assert "1 Critical" in text
    assert "Not run: eslint, vulture" in text
    assert "run #2" in text


def test_an_empty_organization_is_told_the_next_command(alice: Person):
    text = text_of(shown(alice.page(), "/en/acme/"))
    assert "odavl login" in text
    assert "odavl insight analyze --upload" in text


def test_a_project_without_runs_is_told_the_next_command(alice: Person, website: Project):
    for address in (PROJECT, ISSUES, f"{PROJECT}runs/"):
        page = text_of(shown(alice.page(), address))
        assert "odavl insight analyze --upload --project website" in page, address


def test_the_project_shows_its_trend_as_numbers_too(alice: Person, two_runs):
    page = shown(alice.page(), PROJECT)
    points = json.loads(re.search(r'id="trend-data" type="application/json">(.*?)<', page)[1])
    assert points == {"sequence": [1, 2], "open": [3, 3], "new": [3, 1], "fixed": [0, 1]}
    table = text_of(page[page.index("As a table") :])
    assert re.search(r"#1 .*? 3 3 0 #2 .*? 3 1 1", table)


def test_what_did_not_run_never_reads_as_none_found(alice: Person, two_runs):
    text = text_of(shown(alice.page(), PROJECT))
    assert "eslint Not run: not installed" in text
    assert "npm install eslint" in text
    assert "vulture Not run: it failed it ended with code 3" in text
    assert "0 findings" not in text


def test_what_had_nothing_to_look_at_is_no_alarm(alice: Person, website: Project):
    skipped = {"name": "eslint", "status": "skipped", "detail": "There are no files for it here."}
    upload(alice.api, {}, scope={"detectors": [{"name": "ruff"}, skipped], "files": None})
    text = text_of(shown(alice.page(), PROJECT))
    assert "eslint Not run: nothing for it here" in text
    assert "did not run" not in text
    assert "Not run:" not in text_of(shown(alice.page(), "/en/acme/"))


def test_nothing_open_is_qualified_by_what_did_not_run(alice: Person, website: Project):
    scope = {
        "detectors": [{"name": "ruff"}, {"name": "eslint", "status": "not-installed"}],
        "files": None,
    }
    upload(alice.api, {}, scope=scope)
    text = text_of(shown(alice.page(), ISSUES))
    assert "No open issue" in text
    assert "not every detector ran" in text
    assert "Not run: eslint" in text


def test_a_run_shows_what_it_changed(alice: Person, two_runs):
    run = f"/en/acme/runs/{two_runs[1]['id']}/"
    page = shown(alice.page(), run)
    assert "Against run #1" in text_of(page)
    assert listed(page) == ["about late"]
    assert listed(shown(alice.page(), f"{run}?show=fixed")) == ["about long"]
    assert len(listed(shown(alice.page(), f"{run}?show=all"))) == 3


def test_the_first_run_is_all_new(alice: Person, two_runs):
    page = shown(alice.page(), f"/en/acme/runs/{two_runs[0]['id']}/?show=new")
    assert "The first run of its branch" in text_of(page)
    assert len(listed(page)) == 3


def test_a_run_of_some_files_says_so(alice: Person, website: Project):
    scope = {"detectors": [{"name": "ruff"}], "files": ["a.py", "b.py"]}
    run = upload(alice.api, {"a.py": [finding("one")]}, scope=scope)
    assert "looked at 2 files" in text_of(shown(alice.page(), f"/en/acme/runs/{run['id']}/"))


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_the_payload_comes_back_as_it_was_sent(alice: Person, two_runs, encoding):
    address = f"/en/acme/runs/{two_runs[0]['id']}/payload"
    answer = alice.page().get(address, headers={"Accept-Encoding": encoding})
    assert "attachment" in answer["Content-Disposition"]
    body = answer.getvalue()
    if answer.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    assert answer.get("Content-Encoding", "identity") == encoding
    assert set(json.loads(body)["diagnostics"]) == {"src/app.py", "src/db.py"}


def test_one_issue_shows_snippet_fix_rule_and_life(alice: Person, two_runs):
    issue = Issue.across_organizations.get(rule="B105")
    page = shown(alice.page(), f"/en/acme/issues/{issue.pk}/")
    text = text_of(page)
    assert "Possible hardcoded password" in text
    assert "Read it from the environment." in text
    assert 'href="https://bandit.readthedocs.io/en/latest/plugins/b105.html"' in page
    marked = re.findall(r'<tr class="marked">\s*<td class="snippet-number">\s*(\d+)', page)
    assert marked == ["7", "8"]
    assert "It has lived through 2 runs." in text


def test_an_issue_that_went_and_came_back_tells_all_of_it(alice: Person, website: Project):
    for found in ({"a.py": [finding("one")]}, {}, {"a.py": [finding("one")]}):
        upload(alice.api, found)
    text = text_of(shown(alice.page(), f"/en/acme/issues/{issue_called('one').pk}/"))
    life = re.findall(r"(Came back|Fixed|Found for the first time) · run #(\d)", text)
    assert life == [("Came back", "3"), ("Fixed", "2"), ("Found for the first time", "1")]
    assert "It has lived through 2 runs." in text


def test_an_address_that_could_run_code_is_no_link(alice: Person, website: Project):
    upload(alice.api, {"a.py": [finding("one", source="own", url="javascript:alert(1)")]})
    assert "javascript:" not in shown(alice.page(), f"/en/acme/issues/{issue_called('one').pk}/")


def test_markup_in_findings_stays_text(alice: Person, website: Project):
    upload(alice.api, {"<b>.py": [finding("<script>alert(1)</script>", snippet="<img src=x>")]})
    issue = Issue.across_organizations.get()
    for address in (ISSUES, f"/en/acme/issues/{issue.pk}/"):
        page = shown(alice.page(), address)
        assert "<script>alert" not in page
        assert "<img src=x>" not in page


# ── Filters and pages ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"Possible hardcoded password", "about unused", "about late"}),
        ("severity=critical", {"Possible hardcoded password"}),
        ("severity=critical&severity=medium&detector=ruff", {"about unused", "about late"}),
        ("rule=B105", {"Possible hardcoded password"}),
        ("path=src/app.py", {"about unused"}),
        ("path=src/", {"Possible hardcoded password", "about unused", "about late"}),
        ("state=fixed", {"about long"}),
        ("new=true", {"about late"}),
        ("text=HARDCODED", {"Possible hardcoded password"}),
        ("text=nothing+like+this", set()),
    ],
)
def test_filters_stand_in_the_address(alice: Person, two_runs, query, expected):
    assert set(listed(shown(alice.page(), f"{ISSUES}?{query}"))) == expected


@pytest.mark.parametrize("query", ["sort=sideways", "state=lost", "severity=purple", "text=%00"])
def test_a_filter_that_cannot_be_is_a_page_that_says_so(alice: Person, two_runs, query):
    answer = alice.page().get(f"{ISSUES}?{query}")
    assert answer.status_code == 400
    assert "The address cannot be read" in answer.content.decode()


@pytest.mark.parametrize("sort", ["severity", "newest", "path", "rule"])
def test_pages_lead_on_and_back_without_losing_a_row(alice: Person, many_issues, sort):
    many_issues(120)
    client = alice.page()
    forwards, address = [], f"{ISSUES}?sort={sort}"
    while address:
        page = shown(client, address)
        forwards.append(listed(page))
        address = linked(page, "next")
    assert [len(rows) for rows in forwards] == [50, 50, 20]
    assert len({row for rows in forwards for row in rows}) == 120
    backwards = [listed(page)]
    while address := linked(page, "prev"):
        page = shown(client, address)
        backwards.append(listed(page))
    assert backwards == forwards[::-1]


def linked(page: str, relation: str) -> str:
    found = re.search(rf'rel="{relation}"\s+href="([^"]+)"', page)
    return ISSUES + unescape(found[1]) if found else ""


@pytest.mark.parametrize(
    "cursor", ["x", "bm9uc2Vuc2U", "WyJmIiwgImEiLCAiYiJd", "W251bGxd", "WyJmIiwgImEiXQ"]
)
def test_a_cursor_of_nobodys_making_shows_the_first_page(alice: Person, two_runs, cursor):
    assert len(listed(shown(alice.page(), f"{ISSUES}?cursor={cursor}"))) == 3


def test_htmx_gets_the_list_alone_and_the_address_to_show(alice: Person, two_runs):
    answer = alice.page().get(f"{ISSUES}?severity=critical", headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert "<html" not in page
    assert listed(page) == ["Possible hardcoded password"]
    assert answer["HX-Push-Url"] == f"{ISSUES}?severity=critical"
    assert "HX-Request" in answer["Vary"]


def test_going_back_gets_the_whole_page(alice: Person, two_runs):
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in shown(alice.page(), ISSUES, **headers)


def test_branches_stay_apart(alice: Person, two_runs):
    upload(alice.api, {"a.py": [finding("elsewhere")]}, branch="feature/x")
    assert listed(shown(alice.page(), f"{ISSUES}?branch=feature/x")) == ["about elsewhere"]
    assert "about elsewhere" not in listed(shown(alice.page(), ISSUES))


BRANCHES = "/en/acme/projects/website/branches/"


def test_the_menu_has_the_latest_branches_and_a_page_has_all(alice: Person, two_runs):
    for number in range(25):
        upload(alice.api, {}, branch=f"feature/{number}")
    menu = shown(alice.page(), f"{ISSUES}?branch=feature/0")
    linked = re.findall(r"\?branch=feature(?:/|%2F)(\d+)", menu)
    assert {int(number) for number in linked} == {0, *range(5, 25)}
    assert BRANCHES in menu
    page = shown(alice.page(), BRANCHES)
    assert all(f"branch=feature/{number}" in page for number in range(25))


def test_a_branch_is_found_by_a_part_of_its_name(alice: Person, two_runs):
    for name in ("feature/login", "feature/logout", "50%_off"):
        upload(alice.api, {}, branch=name)
    found = shown(alice.page(), f"{BRANCHES}?text=LOG")
    assert re.findall(r"\?branch=([^\"&]+)", found) == ["feature/login", "feature/logout"]
    assert "branch=50%25_off" in shown(alice.page(), f"{BRANCHES}?text=%25_")
    assert "No branch matches" in text_of(shown(alice.page(), f"{BRANCHES}?text=%00nothing"))


def test_a_stranger_sees_no_branches(alice: Person, charlie: Person, two_runs):
    assert charlie.page().get(BRANCHES).status_code == 404


def test_a_page_of_issues_takes_few_queries(
    alice: Person, many_issues, django_assert_max_num_queries: DjangoAssertNumQueries
):
    many_issues(60)
    client = alice.page()
    with django_assert_max_num_queries(12):
        shown(client, f"{ISSUES}?text=finding")


# ── Decisions ────────────────────────────────────────────────────────────────


def decide(client: Client, state: str, *issues: Issue, **fields: str):
    chosen = [str(issue.pk) for issue in issues]
    return client.post(f"{ISSUES}triage/", {"issue": chosen, "state": state, **fields})


def test_deciding_in_bulk_comes_back_to_the_same_filter(alice: Person, two_runs):
    client = alice.page()
    chosen = [issue_called("unused"), issue_called("late")]
    address = f"{ISSUES}?severity=medium"
    answer = decide(client, "accepted", *chosen, reason="Known.", next=address)
    assert answer["Location"] == address
    assert "2 issues accepted" in text_of(shown(client, address))
    assert listed(shown(client, ISSUES)) == ["Possible hardcoded password"]
    assert len(listed(shown(client, f"{ISSUES}?state=accepted"))) == 2
    assert "Open 3 after run #2 2 of them decided" in text_of(shown(client, PROJECT))
    assert set(TriageEvent.across_organizations.values_list("reason", "actor__email")) == {
        ("Known.", "alice@example.com")
    }


def test_deciding_on_nothing_changes_nothing(alice: Person, two_runs):
    client = alice.page()
    assert decide(client, "accepted").status_code == 302
    assert "Nothing was selected." in text_of(shown(client, ISSUES))
    assert not TriageEvent.across_organizations.exists()


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "javascript:0", ""]
)
def test_a_decision_leads_to_no_other_site(alice: Person, two_runs, elsewhere):
    answer = decide(alice.page(), "accepted", issue_called("late"), next=elsewhere)
    assert answer["Location"] == ISSUES


def test_a_decision_needs_the_forms_token(alice: Person, two_runs):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice.user)
    assert decide(client, "accepted", issue_called("late")).status_code == 403
    assert issue_called("late").triage == "open"


def test_a_viewer_sees_but_decides_nothing(alice: Person, two_runs):
    user = create_user(email="vera@example.com", password=PASSWORD, name="Vera")
    add_member(user=user, role=Role.VIEWER, by=alice.membership)
    client = Client()
    client.force_login(user)
    page = shown(client, ISSUES)
    assert len(listed(page)) == 3
    assert "bulk-bar" not in page
    assert decide(client, "accepted", issue_called("late")).status_code == 403
    assert issue_called("late").triage == "open"


# ── Strangers, languages ─────────────────────────────────────────────────────


def test_to_a_stranger_nothing_exists(charlie: Person, two_runs):
    issue = issue_called("late")
    run = two_runs[0]["id"]
    for place in ("acme", "globex"):
        for rest in (
            "projects/website/",
            f"runs/{run}/",
            f"runs/{run}/payload",
            f"issues/{issue.pk}/",
        ):
            assert charlie.page().get(f"/en/{place}/{rest}").status_code == 404, f"{place}/{rest}"
    answer = charlie.page().post(
        "/en/globex/projects/website/issues/triage/", {"issue": issue.pk, "state": "accepted"}
    )
    assert answer.status_code == 404


def test_a_run_that_waits_says_so_and_looks_again(alice: Person, two_runs):
    Run.across_organizations.filter(sequence=2).update(state=RunState.QUEUED)
    page = shown(alice.page(), f"/en/acme/runs/{two_runs[1]['id']}/")
    assert "waits to be read" in text_of(page)
    assert 'http-equiv="refresh"' in page
    assert "Queued" in text_of(shown(alice.page(), f"{PROJECT}runs/"))


def test_a_run_that_could_not_be_read_says_why(alice: Person, two_runs):
    problem = {"title": "Refused", "detail": "The document ends too early."}
    failed = Run.across_organizations.filter(sequence=2)
    failed.update(state=RunState.FAILED, problem=problem)
    text = text_of(shown(alice.page(), f"/en/acme/runs/{two_runs[1]['id']}/"))
    assert "The document ends too early." in text
    assert "Findings" not in text


def test_the_language_switch_keeps_the_page_and_its_filter(alice: Person, two_runs):
    client = alice.page()
    here = f"{ISSUES}?severity=critical"
    answer = client.post("/en/accounts/language/", {"language": "ar", "next": here})
    assert answer["Location"] == here.replace("/en/", "/ar/")
    page = shown(client, answer["Location"])
    assert '<html lang="ar" dir="rtl">' in page
    assert "مشكلة واحدة" in page
    assert "tabler-rtl" in page


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_page_renders_in_every_language(alice: Person, two_runs, language):
    issue = issue_called("late")
    rest = ["", "projects/website/", "projects/website/runs/", "projects/website/issues/"]
    rest += [f"runs/{two_runs[1]['id']}/", f"issues/{issue.pk}/"]
    for address in rest:
        shown(alice.page(), f"/{language}/acme/{address}")
