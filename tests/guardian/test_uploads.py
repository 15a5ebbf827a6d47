"""``POST /api/v1/upload/guardian``: what is taken, and how what is wrong is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardian.models import PageTest, Report, Screenshot
from jobs import execution
from tests.cast import Api, Person
from tests.guardian.results import check, jpeg, made_by, png, results, send
from tests.problems import problem
from tests.wire.test_golden import GOLDEN

LIGHTHOUSE = {
    "lighthouseVersion": "12.0.0",
    "categories": {
        "performance": {"title": "Performance", "score": 0.87},
        "seo": {"title": "SEO", "score": None},
    },
    "audits": {"first-contentful-paint": {"score": 1}},
}


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def test_results_make_a_test(api: Api) -> None:
    answer = send(api, results())
    assert answer.status_code == 201, answer.content
    assert set(answer.json()) == {"uploadId", "testId", "url"}
    assert answer.json()["url"].endswith(f"/acme/guardian/{answer.json()['testId']}/")
    test = made_by(answer, api)
    assert (test["testRunId"], test["environment"]) == ("test-1", "staging")
    assert test["url"] == "https://shop.example/"
    assert (test["passed"], test["failed"], test["warnings"]) == (1, 1, 1)
    assert test["accessibility"] == {
        "score": 91.5, "violations": 1, "incomplete": 2, "passes": 40,
    }  # fmt: skip
    assert test["performance"] == {
        "loadTime": 1200.0, "ttfb": 80.0, "fcp": 700.0, "lcp": 900.5, "cls": 0.02, "tbt": None,
    }  # fmt: skip
    assert test["security"] == {"vulnerabilities": 1, "warnings": 1}
    assert [each["status"] for each in test["tests"]] == ["failed", "passed", "warning"]
    assert (test["screenshots"], test["missingScreenshots"]) == ([], ["home.png"])


def test_the_upload_tells_its_test(api: Api) -> None:
    told = send(api, results()).json()
    status = api.send("GET", f"/upload/guardian/{told['uploadId']}").json()
    assert status == {
        "uploadId": told["uploadId"],
        "state": "completed",
        "progress": 100,
        "testId": told["testId"],
        "url": told["url"],
    }


def test_the_results_can_be_had_as_they_were_sent(api: Api) -> None:
    test = made_by(send(api, results()), api)
    got = api.get(test["payload"]["downloadUrl"].split("8000", 1)[-1])
    assert got.getvalue() == json.dumps(results()).encode()


def test_the_least_results(api: Api) -> None:
    least = {"testRunId": "t", "timestamp": "2026-01-02T03:04:05Z", "url": "x"}
    test = made_by(send(api, least), api)
    assert (test["passed"], test["failed"], test["warnings"]) == (0, 0, 0)
    assert test["accessibility"]["score"] is None
    assert test["security"] == {"vulnerabilities": None, "warnings": None}
    assert set(test["performance"].values()) == {None}


def test_without_a_summary_the_checks_are_counted(api: Api) -> None:
    checks = [check(), check("b"), check("c", "passed"), check("d", "skipped")]
    test = made_by(send(api, results(tests=checks, summary=None)), api)
    assert (test["passed"], test["failed"], test["warnings"]) == (1, 2, 0)


def test_the_same_results_again_are_the_same_test(api: Api) -> None:
    first, second = send(api, results()), send(api, results())
    assert second.status_code == 201
    assert second.json()["testId"] == first.json()["testId"]
    assert PageTest.across_organizations.count() == 1


def test_other_results_of_the_same_test_are_a_duplicate(api: Api, charlie: Person) -> None:
    send(api, results())
    problem(send(api, results(url="y")), 409, "duplicate", pointer="/testRunId")
    problem(send(api, results(), projectName="Other"), 409, "duplicate", pointer="/testRunId")
    assert send(charlie.api, results(url="y")).status_code == 201
    assert PageTest.across_organizations.count() == 2


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"testRunId": ""}, "/testRunId"),
        ({"testRunId": "t" * 201}, "/testRunId"),
        ({"timestamp": 1}, "/timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "/timestamp"),
        ({"url": None}, "/url"),
        ({"environment": "moon"}, "/environment"),
        ({"tests": "all"}, "/tests"),
        ({"tests": [check(), check(category="taste")]}, "/tests/1/category"),
        ({"tests": [check(status="maybe")]}, "/tests/0/status"),
        ({"tests": [{"id": "x"}]}, "/tests/0"),
        ({"accessibility": {"score": 101}}, "/accessibility/score"),
        ({"accessibility": {"violations": -1}}, "/accessibility/violations"),
        ({"accessibility": {"violations": "many"}}, "/accessibility/violations"),
        ({"performance": {"lcp": -1}}, "/performance/lcp"),
        ({"performance": {"cls": 1e300}}, "/performance/cls"),
        ({"security": {"vulnerabilities": 2**40}}, "/security/vulnerabilities"),
        ({"screenshots": "home.png"}, "/screenshots"),
        ({"summary": {"failed": -1}}, "/summary/failed"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    api: Api, change: dict[str, Any], pointer: str
) -> None:
    problem(send(api, results(**change)), 422, "invalid_payload", pointer=pointer)
    assert not PageTest.across_organizations.exists()


def test_strange_texts_are_kept_with_a_mark_and_long_ones_shortened(api: Api) -> None:
    strange = check("i\x00", title="t\x00", detail="d" * 5_000)
    sent = results("t\x00", url="u" * 3_000, tests=[strange], screenshots=["a\x00.png", "../b.png"])
    body = json.dumps(sent).encode().replace(b'"staging"', b'"staging", "more": "\\ud800"')
    test = made_by(send(api, body), api)
    assert (test["testRunId"], test["url"]) == ("t␀", "u" * 1_999 + "…")
    [shown] = test["tests"]
    assert (shown["id"], shown["title"], len(shown["detail"])) == ("i␀", "t␀", 4_000)
    assert test["missingScreenshots"] == ["a.png", "b.png"]


@pytest.mark.django_db(transaction=True)
def test_large_results_are_taken_in_by_a_job(api: Api) -> None:
    checks = [check(f"c{n}", detail="d" * 1_000) for n in range(1_200)]
    answer = send(api, results(tests=checks, summary=None))
    assert answer.status_code == 202, answer.content
    assert execution.run(answer.json()["jobId"])
    status = api.send("GET", f"/upload/guardian/{answer.json()['uploadId']}").json()
    assert status["state"] == "completed"
    test = api.send("GET", f"/guardian/tests/{status['testId']}").json()
    assert (test["failed"], len(test["tests"])) == (1_200, 200)


@pytest.mark.parametrize("name", ["test-results", "lighthouse-report", "accessibility-report"])
def test_the_hub_takes_the_golden_documents(api: Api, name: str) -> None:
    answer = send(api, (GOLDEN / f"{name}.json").read_bytes(), name)
    assert answer.status_code == 201, answer.content


# ── Screenshots ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("picture_first", [True, False])
def test_a_screenshot_finds_its_test_in_either_order(api: Api, picture_first: bool) -> None:
    def picture() -> None:
        answer = send(api, png(), "screenshot", fileName="home.png", testRunId="test-1")
        assert answer.status_code == 201, answer.content
        assert set(answer.json()) == {"uploadId", "url"}

    if picture_first:
        picture()
    answer = send(api, results())
    if not picture_first:
        picture()
    test = made_by(answer, api)
    [shown] = test["screenshots"]
    assert (shown["name"], shown["width"], shown["height"]) == ("home.png", 3, 2)
    assert test["missingScreenshots"] == []
    got = api.get(shown["downloadUrl"].split("8000", 1)[-1])
    assert (got.getvalue(), got["Content-Type"]) == (png(), "image/png")
    assert got["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert got["X-Content-Type-Options"] == "nosniff"


def test_a_screenshot_is_what_its_bytes_say(api: Api) -> None:
    exif = b"\xff\xe1\xff\xff" + bytes(65_533)
    pictures = [jpeg(640, 480), jpeg(1, 2, before=exif * 3 + b"\xff\xff\xfe\x00\x02")]
    for number, body in enumerate(pictures):
        send(api, body, "screenshot", fileName=f"{number}.png", testRunId="t")
    listed = api.send("GET", "/guardian/screenshots?testRunId=t").json()["items"]
    assert [(each["contentType"], each["width"], each["height"]) for each in listed] == [
        ("image/jpeg", 1, 2),
        ("image/jpeg", 640, 480),
    ]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 415, "unsupported_media_type"),
        (b"GIF89a" + bytes(20), 415, "unsupported_media_type"),
        (b"RIFF\x00\x00\x00\x00WEBP", 415, "unsupported_media_type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_media_type"),
        (b"<script>alert(1)</script>", 415, "unsupported_media_type"),
        (png()[:20], 422, "invalid_payload"),
        (png()[:8] + bytes(40), 422, "invalid_payload"),
        (png(0, 2), 422, "invalid_payload"),
        (png()[:16] + b"\xff\xff\xff\xff" + png()[20:], 422, "invalid_payload"),
        (jpeg()[:20], 422, "invalid_payload"),
        (jpeg(0, 0), 422, "invalid_payload"),
        (b"\xff\xd8\xff\xe0\x00\x00" + bytes(30), 422, "invalid_payload"),
        (b"\xff\xd8" + b"\xff" * 100_000, 422, "invalid_payload"),
    ],
)
def test_what_is_no_picture_is_refused(api: Api, body: bytes, status: int, code: str) -> None:
    problem(send(api, body, "screenshot", fileName="a.png", testRunId="t"), status, code)
    assert not Screenshot.across_organizations.exists()


def test_the_same_picture_again_is_one_and_another_is_a_duplicate(api: Api) -> None:
    names = {"fileName": "home.png", "testRunId": "t"}
    for _ in range(2):
        assert send(api, png(), "screenshot", **names).status_code == 201
    problem(send(api, png(shade=9), "screenshot", **names), 409, "duplicate")
    assert send(api, png(shade=9), "screenshot", **names, projectName="Other").status_code == 201
    assert Screenshot.across_organizations.count() == 2


def test_a_picture_without_a_test_or_a_name_is_kept(api: Api) -> None:
    for _ in range(2):
        assert send(api, png(), "screenshot").status_code == 201
    send(api, png(), "screenshot", fileName="a/../..\\b\x01.png")
    listed = api.send("GET", "/guardian/screenshots").json()
    assert listed["total"] == 2
    assert listed["items"][0]["name"] == "b.png"
    assert listed["items"][1]["name"].endswith(".png")
    assert listed["items"][0]["testRunId"] is None


def test_a_name_of_a_test_that_is_too_long(api: Api) -> None:
    answer = send(api, png(), "screenshot", testRunId="t" * 201)
    problem(answer, 422, "invalid_payload", pointer="/metadata/testRunId")


# ── Reports ──────────────────────────────────────────────────────────────────


def test_reports_are_tied_to_their_test(api: Api) -> None:
    send(api, LIGHTHOUSE, "lighthouse-report", testRunId="test-1")
    send(api, {"score": 88, "violations": []}, "accessibility-report", testRunId="test-1")
    test = made_by(send(api, results()), api)
    accessibility, lighthouse = test["reports"]
    assert (accessibility["type"], accessibility["scores"]) == (
        "accessibility-report",
        {"accessibility": 88.0},
    )
    assert (lighthouse["type"], lighthouse["scores"]) == (
        "lighthouse-report",
        {"performance": 87.0},
    )
    got = api.get(lighthouse["payload"]["downloadUrl"].split("8000", 1)[-1])
    assert json.loads(got.getvalue()) == LIGHTHOUSE


def test_the_same_report_again_is_one_and_another_is_a_duplicate(api: Api) -> None:
    for _ in range(2):
        answer = send(api, LIGHTHOUSE, "lighthouse-report", testRunId="t")
        assert answer.status_code == 201
        assert send(api, LIGHTHOUSE, "lighthouse-report").status_code == 201
    answer = send(api, {"categories": {}}, "lighthouse-report", testRunId="t")
    problem(answer, 409, "duplicate")
    assert Report.across_organizations.count() == 2


@pytest.mark.parametrize(
    ("upload_type", "payload", "pointer"),
    [
        ("lighthouse-report", [], ""),
        ("lighthouse-report", {"categories": {"seo": {"score": 2}}}, "/categories/*/score"),
        ("accessibility-report", {"score": "good"}, "/score"),
    ],
)
def test_a_report_that_does_not_fit(api: Api, upload_type: str, payload: Any, pointer: str) -> None:
    problem(send(api, payload, upload_type), 422, "invalid_payload", pointer=pointer)
