"""Screenshots and reports: tied to a test by its name, once, in whatever order they come."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from django.db import connection

from accounts.models import Project
from guardian.models import Report, Screenshot
from odavl.wire import limits
from tests.cast import Api, Person
from tests.guardian.results import jpeg, made_by, png, results, send
from tests.insight.documents import envelope
from tests.problems import problem


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


BESIDE: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "screenshot": (png(), png(shade=9), {"fileName": "home.png"}),
    "lighthouse-report": ({"categories": {}}, {"categories": {"seo": {"score": 1}}}, {}),
    "accessibility-report": ({"score": 1}, {"score": 2}, {}),
}
"""By type: a document, another of the same name, and what the metadata says of both."""

EACH = pytest.mark.parametrize("upload_type", list(BESIDE))


def rows() -> list[Any]:
    return [*Screenshot.across_organizations.all(), *Report.across_organizations.all()]


def told(api: Api, test: str) -> dict[str, Any]:
    found: dict[str, Any] = api.send("GET", f"/guardian/tests/{test}").json()
    return found


# ── Once ─────────────────────────────────────────────────────────────────────


@EACH
def test_a_name_of_a_test_is_taken_once(api: Api, upload_type: str) -> None:
    """a, b, a: what was refused between changes nothing."""
    document, another, names = BESIDE[upload_type]
    for _ in range(2):
        assert send(api, document, upload_type, testRunId="t", **names).status_code == 201
        refused = send(api, another, upload_type, testRunId="t", **names)
        problem(refused, 409, "duplicate", pointer="/metadata/testRunId")
    [row] = rows()
    assert row.test_run_id == "t"


@EACH
def test_another_test_and_another_project_have_names_of_their_own(
    api: Api, charlie: Person, upload_type: str
) -> None:
    document, another, names = BESIDE[upload_type]
    send(api, document, upload_type, testRunId="t", **names)
    assert send(api, another, upload_type, testRunId="u", **names).status_code == 201
    elsewhere = send(api, another, upload_type, testRunId="t", projectName="Other", **names)
    assert elsewhere.status_code == 201
    strange = send(charlie.api, another, upload_type, testRunId="t", **names)
    assert strange.status_code == 201
    assert len(rows()) == 4


@EACH
def test_without_a_test_each_content_is_kept_once(api: Api, upload_type: str) -> None:
    document, another, names = BESIDE[upload_type]
    for sent in (document, another, document):
        assert send(api, sent, upload_type, **names).status_code == 201
    assert len(rows()) == 2


@EACH
@pytest.mark.django_db(transaction=True)
def test_of_those_that_race_for_a_name_one_kind_wins(
    alice: Person, website: Project, upload_type: str
) -> None:
    document, another, names = BESIDE[upload_type]
    ready = threading.Barrier(6)
    statuses: dict[int, list[int]] = {0: [], 1: []}

    def one(which: int) -> None:
        try:
            ready.wait()
            sent = (document, another)[which]
            answer = send(alice.api, sent, upload_type, testRunId="t", **names)
            statuses[which].append(answer.status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(number % 2,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses.values()) == [[201] * 3, [409] * 3]
    assert len(rows()) == 1


# ── In any order ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_test_has_all_that_belongs_to_it_in_whatever_order_it_came(
    api: Api, order: tuple[int, ...]
) -> None:
    def beside(upload_type: str) -> Callable[[], Any]:
        document, _, names = BESIDE[upload_type]
        return lambda: send(api, document, upload_type, testRunId="test-1", **names)

    steps = [lambda: send(api, results()), *map(beside, BESIDE)]
    answers = {place: steps[place]() for place in order}
    assert {answer.status_code for answer in answers.values()} == {201}
    test = made_by(answers[0], api)
    assert [each["name"] for each in test["screenshots"]] == ["home.png"]
    assert test["missingScreenshots"] == []
    assert [each["type"] for each in test["reports"]] == [
        "accessibility-report",
        "lighthouse-report",
    ]


@pytest.mark.parametrize(
    ("named", "arrived", "missing"),
    [
        ([], [], []),
        (["a.png", "b.png"], [], ["a.png", "b.png"]),
        (["b.png", "a.png", "b.png"], [], ["b.png", "a.png"]),
        (["a.png", "b.png"], ["b.png"], ["a.png"]),
        (["A.png"], ["a.png"], ["A.png"]),
        (["x/../a.png"], ["a.png"], []),
        (["a.png"], ["deep/a.png"], []),
        (["a.png"], ["a.png", "more.png"], []),
    ],
)
def test_what_has_not_arrived_is_told(
    api: Api, named: list[str], arrived: list[str], missing: list[str]
) -> None:
    test = made_by(send(api, results(screenshots=named)), api)
    for name in arrived:
        send(api, png(), "screenshot", fileName=name, testRunId="test-1")
    found = told(api, test["id"])
    assert found["missingScreenshots"] == missing
    assert len(found["screenshots"]) == len(arrived)


@pytest.mark.parametrize(("count", "kept"), [(200, 200), (201, 200)])
def test_only_so_many_names_of_screenshots_are_kept(api: Api, count: int, kept: int) -> None:
    names = [f"{number}.png" for number in range(count)]
    test = made_by(send(api, results(screenshots=names)), api)
    assert test["missingScreenshots"] == names[:kept]


def test_a_test_shows_its_own_alone(api: Api) -> None:
    """Names that begin alike, another project's test of the same name, and none at all."""
    test = made_by(send(api, results("t")), api)
    for other in ("t2", "T", "t ", ""):
        metadata = {"testRunId": other} if other else {}
        send(api, png(), "screenshot", fileName=f"{len(other)}{other}.png", **metadata)
        send(api, {"score": 1}, "accessibility-report", **metadata)
    send(api, png(), "screenshot", fileName="a.png", testRunId="t", projectName="Other")
    assert (told(api, test["id"])["screenshots"], told(api, test["id"])["reports"]) == ([], [])


# ── Names ────────────────────────────────────────────────────────────────────


@EACH
@pytest.mark.parametrize(("length", "status"), [(200, 201), (201, 422)])
def test_a_name_of_a_test_has_a_length(
    api: Api, upload_type: str, length: int, status: int
) -> None:
    document, _, names = BESIDE[upload_type]
    answer = send(api, document, upload_type, testRunId="t" * length, **names)
    assert answer.status_code == status
    if status != 201:
        problem(answer, 422, "invalid_payload", pointer="/metadata/testRunId")
        assert rows() == []


@pytest.mark.parametrize(
    ("body", "ending", "content_type"),
    [(png(), ".png", "image/png"), (jpeg(), ".jpg", "image/jpeg")],
)
def test_a_picture_without_a_name_is_named_by_its_content(
    api: Api, body: bytes, ending: str, content_type: str
) -> None:
    send(api, body, "screenshot", testRunId="t")
    [item] = api.send("GET", "/guardian/screenshots").json()["items"]
    assert item["name"] == f"{item['sha256'][:12]}{ending}"
    assert (item["contentType"], item["size"]) == (content_type, len(body))


def test_screenshots_are_listed_latest_first_and_by_their_test(api: Api) -> None:
    for number, test in enumerate(["t", "t", "u", ""]):
        metadata = {"testRunId": test} if test else {}
        send(api, png(shade=number), "screenshot", fileName=f"{number}.png", **metadata)

    def names(query: str = "") -> list[str]:
        items = api.send("GET", f"/guardian/screenshots{query}").json()["items"]
        return [item["name"] for item in items]

    assert names() == ["3.png", "2.png", "1.png", "0.png"]
    assert names("?testRunId=t") == ["1.png", "0.png"]
    assert names("?testRunId=") == names()
    assert names("?testRunId=%25") == names("?testRunId=_") == []
    assert names(f"?testRunId=t{'x' * 300}") == []
    assert names("?limit=1&offset=3") == ["0.png"]


# ── Scores ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("categories", "scores"),
    [
        ({}, {}),
        ({"seo": {"score": 0}}, {"seo": 0}),
        ({"seo": {"score": 1}}, {"seo": 100}),
        ({"seo": {"score": 0.8749}}, {"seo": 87.5}),
        ({"seo": {"score": None}}, {}),
        ({"seo": {}}, {}),
        ({f"c{n:02}": {"score": 1} for n in range(21)}, {f"c{n:02}": 100 for n in range(20)}),
        ({"n" * 101: {"score": 1}}, {"n" * 99 + "…": 100}),
    ],
)
def test_scores_of_lighthouse_are_told_out_of_a_hundred(
    api: Api, categories: dict[str, Any], scores: dict[str, float]
) -> None:
    send(api, {"categories": categories}, "lighthouse-report", testRunId="test-1")
    [report] = made_by(send(api, results()), api)["reports"]
    assert report["scores"] == scores


@pytest.mark.parametrize(("score", "scores"), [
    (0, {"accessibility": 0}), (100, {"accessibility": 100}), (None, {}),
])  # fmt: skip
def test_an_accessibility_score_is_out_of_a_hundred_already(
    api: Api, score: float | None, scores: dict[str, float]
) -> None:
    send(api, {"score": score}, "accessibility-report", testRunId="test-1")
    [report] = made_by(send(api, results()), api)["reports"]
    assert report["scores"] == scores


@pytest.mark.parametrize(
    ("upload_type", "document", "pointer"),
    [
        ("lighthouse-report", {"categories": {"a": {"score": 1.01}}}, "/categories/*/score"),
        ("lighthouse-report", {"categories": {"a": {"score": -0.01}}}, "/categories/*/score"),
        ("lighthouse-report", {"categories": []}, "/categories"),
        ("accessibility-report", {"score": 100.1}, "/score"),
        ("accessibility-report", {"violations": -1}, "/violations"),
    ],
)
def test_a_score_that_cannot_be_leaves_nothing(
    api: Api, upload_type: str, document: Any, pointer: str
) -> None:
    answer = send(api, document, upload_type, testRunId="t")
    problem(answer, 422, "invalid_payload", pointer=pointer)
    assert rows() == []


@pytest.mark.parametrize("upload_type", ["lighthouse-report", "accessibility-report"])
def test_a_report_that_is_cut_leaves_nothing(api: Api, upload_type: str) -> None:
    body = json.dumps(BESIDE[upload_type][0]).encode()
    for end in range(len(body)):
        answer = send(api, body[:end], upload_type, testRunId="t")
        assert answer.status_code in (400, 422), body[:end]
    assert rows() == []


@pytest.mark.parametrize(("more", "scores"), [(0, {"accessibility": 50.0}), (1, {})])
def test_a_report_that_is_too_large_to_be_held_is_kept_without_scores(
    alice: Person, more: int, scores: dict[str, float]
) -> None:
    body = json.dumps({"score": 50, "more": ""}).encode()
    missing = limits.MAX_ENVELOPE_SIZE - len(body) + more
    body = body.replace(b'""', b'"' + b"m" * missing + b'"')
    metadata = {"projectName": "Website", "testRunId": "test-1"}
    sent = envelope(body, "accessibility-report", metadata=metadata)
    assert alice.api.send("POST", "/upload/guardian", sent).status_code == 201
    [report] = made_by(send(alice.api, results()), alice.api)["reports"]
    assert (report["scores"], report["payload"]["size"]) == (scores, len(body))
