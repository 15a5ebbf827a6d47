"""Runs, what they changed and the issues they had, over the API."""

from __future__ import annotations

import gzip
import json
from uuid import uuid4

import pytest

from accounts.models import Project
from accounts.services import create_api_key
from tests.cast import Api, Person
from tests.insight.documents import document, finding, send, upload
from tests.problems import problem


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def messages(items: list[dict[str, str]]) -> set[str]:
    return {item["message"].removeprefix("about ") for item in items}


def test_a_run_tells_everything(api: Api) -> None:
    run = upload(
        api,
        {"a.py": [finding("one")]},
        git={"branch": "main", "commit": "c0ffee", "remote": "git@example.com:a/b.git"},
        metrics={"filesAnalyzed": 3, "durationMs": 40, "codeLines": 100},
        tool={"name": "odavl", "version": "0.1.0"},
    )
    assert run["git"] == {"remote": "git@example.com:a/b.git", "commit": "c0ffee"}
    assert run["metrics"] == {"filesAnalyzed": 3, "durationMs": 40, "codeLines": 100}
    assert run["detectors"][0] == {
        "name": "ruff",
        "version": "",
        "status": "ran",
        "findings": 1,
        "durationMs": 0,
        "detail": "",
        "unreadFiles": [],
        "unreadCount": 0,
        "category": "",
    }
    assert run["state"] == "completed"
    assert run["files"] is None
    assert run["openTotal"] == 1


def test_the_payload_can_be_had_as_it_was_sent(api: Api) -> None:
    sent = document({"a.py": [finding("one")]})
    run_id = send(api, sent).json()["runId"]
    run = api.send("GET", f"/insight/runs/{run_id}").json()
    assert run["payload"]["size"] == len(json.dumps(sent))
    address = run["payload"]["downloadUrl"].split("8000", 1)[-1]
    plain = api.get(address)
    body = plain.getvalue()
    assert json.loads(body) == sent
    assert int(plain["Content-Length"]) == len(body)
    packed = api.get(address, headers={"Accept-Encoding": "gzip"})
    body = packed.getvalue()
    assert packed["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(body)) == sent
    assert int(packed["Content-Length"]) == len(body)


def test_runs_are_listed_latest_first_and_paged(api: Api) -> None:
    for number in range(5):
        upload(api, {"a.py": [finding(str(number))]})
    upload(api, {"a.py": []}, branch="other")
    first = api.send("GET", "/insight/runs?limit=2&project=website&branch=main")
    assert [run["sequence"] for run in first.json()["items"]] == [5, 4]
    assert first["Link"].endswith('rel="next"')
    cursor = first.json()["next"]
    second = api.send("GET", f"/insight/runs?limit=3&project=website&branch=main&cursor={cursor}")
    assert [run["sequence"] for run in second.json()["items"]] == [3, 2, 1]
    assert "next" not in second.json()
    assert len(api.send("GET", "/insight/runs").json()["items"]) == 6


def test_the_difference_to_the_run_before(api: Api) -> None:
    upload(api, {"a.py": [finding("stays"), finding("goes")]})
    run = upload(api, {"a.py": [finding("stays"), finding("comes")]})
    diff = api.send("GET", f"/insight/runs/{run['id']}/diff").json()
    assert messages(diff["new"]["items"]) == {"comes"}
    assert messages(diff["fixed"]["items"]) == {"goes"}
    assert diff["unchanged"] == {"count": 1}


def test_the_first_run_has_nothing_to_compare_with(api: Api) -> None:
    run = upload(api, {"a.py": [finding("one")]})
    diff = api.send("GET", f"/insight/runs/{run['id']}/diff").json()
    assert diff["against"] is None
    assert (diff["new"]["count"], diff["fixed"]["count"]) == (1, 0)


def test_the_difference_of_any_two_runs_survives_what_came_after(api: Api) -> None:
    first = upload(api, {"a.py": [finding("x"), finding("y")]})
    second = upload(api, {"a.py": [finding("y")]})
    third = upload(api, {"a.py": [finding("x"), finding("z")]})
    upload(api, {"a.py": []})

    def told(run: dict[str, str], base: dict[str, str]) -> tuple[set[str], set[str], int]:
        diff = api.send("GET", f"/insight/runs/{run['id']}/diff?against={base['id']}").json()
        new, fixed = diff["new"]["items"], diff["fixed"]["items"]
        return messages(new), messages(fixed), diff["unchanged"]["count"]

    assert told(second, first) == (set(), {"x"}, 1)
    assert told(third, first) == ({"z"}, {"y"}, 1)
    assert told(third, second) == ({"x", "z"}, {"y"}, 0)
    assert told(first, third) == ({"y"}, {"z"}, 1)
    listed = api.send("GET", f"/insight/runs/{third['id']}/issues").json()
    assert messages(listed["items"]) == {"x", "z"}


def test_the_difference_of_two_branches(api: Api) -> None:
    main = upload(api, {"a.py": [finding("x"), finding("y")]}, branch="main")
    feature = upload(api, {"a.py": [finding("y"), finding("z")]}, branch="feature")
    diff = api.send("GET", f"/insight/runs/{feature['id']}/diff?against={main['id']}").json()
    assert messages(diff["new"]["items"]) == {"z"}
    assert messages(diff["fixed"]["items"]) == {"x"}
    assert diff["unchanged"]["count"] == 1


def test_a_long_difference_is_paged(api: Api) -> None:
    upload(api, {"a.py": []})
    run = upload(api, {"a.py": [finding(f"{n:03}", line=n) for n in range(45)]})
    diff = api.send("GET", f"/insight/runs/{run['id']}/diff").json()
    assert diff["new"]["count"] == 45
    seen = messages(diff["new"]["items"])
    cursor = diff["new"]["next"]
    while cursor:
        page = api.send(
            "GET", f"/insight/runs/{run['id']}/diff?part=new&limit=20&cursor={cursor}"
        ).json()
        assert not seen & messages(page["items"])
        seen |= messages(page["items"])
        cursor = page.get("next")
    assert len(seen) == 45


def test_runs_of_different_projects_are_not_compared(api: Api) -> None:
    run = upload(api, {"a.py": []})
    send(api, document({"a.py": []}), projectName="Other")
    other = api.send("GET", "/insight/runs?project=other").json()["items"][0]
    answer = api.send("GET", f"/insight/runs/{run['id']}/diff?against={other['id']}")
    problem(answer, 404, "not_found")


@pytest.mark.parametrize("query", ["against=nonsense", "part=both"])
def test_a_difference_that_cannot_be(api: Api, query: str) -> None:
    run = upload(api, {"a.py": []})
    problem(api.send("GET", f"/insight/runs/{run['id']}/diff?{query}"), 400, "malformed_request")


def test_what_is_not_there_is_not_found(api: Api) -> None:
    problem(api.send("GET", f"/insight/runs/{uuid4()}"), 404, "not_found")
    problem(api.send("GET", "/insight/issues/999999999999999999999999"), 404, "not_found")


def test_a_key_of_one_project_sees_no_other(api: Api, alice: Person, website: Project) -> None:
    own = upload(api, {"a.py": [finding("one")]})
    send(api, document({"b.py": [finding("two")]}), projectName="Other")
    _, token = create_api_key(
        by=alice.principal, name="bound", scopes=("insight:read",), project=website
    )
    bound = Api(token)
    assert [run["id"] for run in bound.send("GET", "/insight/runs").json()["items"]] == [own["id"]]
    other = api.send("GET", "/insight/runs?project=other").json()["items"][0]
    problem(bound.send("GET", f"/insight/runs/{other['id']}"), 404, "not_found")
    listed = api.send("GET", "/insight/issues?project=other").json()["items"][0]
    problem(bound.send("GET", f"/insight/issues/{listed['id']}"), 404, "not_found")
    assert len(bound.send("GET", "/insight/issues").json()["items"]) == 1
