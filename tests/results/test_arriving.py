"""A document becomes one row, once: whoever sends it, however often, in whatever order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.models import Project
from jobs.models import Job, State
from odavl.wire import limits
from tests.cast import Api, Person
from tests.problems import problem
from tests.results.products import BOTH, Product, retry_job, run_job, status_of
from uploads.models import Upload


@pytest.fixture
def api(alice: Person) -> Api:
    return alice.api


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls answer, each on a connection of its own and all begun together."""
    answers: list[Any] = [None] * len(calls)
    ready = threading.Barrier(len(calls))

    def one(place: int, call: Callable[[], Any]) -> None:
        try:
            ready.wait()
            answers[place] = call()
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# ── Once more ────────────────────────────────────────────────────────────────


@BOTH
def test_the_same_again_finds_its_row(api: Api, product: Product) -> None:
    first, second = (product.send(api, product.document()) for _ in range(2))
    assert product.id_of(first) == product.id_of(second)
    assert first.json()["url"] == second.json()["url"]
    assert first.json()["uploadId"] != second.json()["uploadId"]
    [row] = product.rows()
    assert str(row.upload_id) == first.json()["uploadId"]


@BOTH
def test_a_name_is_taken_for_another_document_and_stays_with_the_first(
    api: Api, product: Product
) -> None:
    """a, b, a: what was refused between changes nothing about the first."""
    first = product.id_of(product.send(api, product.document()))
    for _ in range(2):
        refused = product.send(api, product.document(**product.change))
        problem(refused, 409, "duplicate", pointer=f"/{product.name}")
        assert product.id_of(product.send(api, product.document())) == first
    [row] = product.rows()
    assert {str(upload.pk) for upload in Upload.across_organizations.all()} >= {str(row.upload_id)}
    assert Upload.across_organizations.count() == 3  # nothing is left of what was refused


@BOTH
def test_only_bytes_are_the_same_document(api: Api, product: Product) -> None:
    """The same members in another order are another document: the payload is what is kept."""
    product.send(api, product.document())
    turned = dict(reversed(product.document().items()))
    problem(product.send(api, turned), 409, "duplicate")


@BOTH
def test_a_name_belongs_to_one_project_of_an_organization(
    api: Api, charlie: Person, product: Product
) -> None:
    first = product.id_of(product.send(api, product.document()))
    problem(product.send(api, product.document(), projectName="Other"), 409, "duplicate")
    elsewhere = product.id_of(product.send(charlie.api, product.document()))
    assert elsewhere != first
    assert {row.organization.name for row in product.rows()} == {"Acme", "Globex"}


@BOTH
def test_a_duplicate_makes_no_project(api: Api, website: Project, product: Product) -> None:
    product.send(api, product.document())
    problem(product.send(api, product.document(), projectName="Other"), 409, "duplicate")
    assert [project.name for project in Project.objects.for_organization(website.organization)] == [
        "Website"
    ]


@BOTH
def test_names_that_differ_in_case_or_space_are_two(api: Api, product: Product) -> None:
    names = ["one", "One", "one ", " one", "öne"]
    made = {product.id_of(product.send(api, product.document(name))) for name in names}
    assert len(made) == len(names)
    assert sorted(product.names(api)) == sorted(names)


@BOTH
def test_an_idempotency_key_answers_as_the_first_time(api: Api, product: Product) -> None:
    headers = {"Idempotency-Key": "k"}
    first, second = (product.send(api, product.document(), headers=headers) for _ in range(2))
    assert first.json() == second.json()
    other = product.send(api, product.document("two"), headers=headers)
    problem(other, 422, "idempotency_mismatch")
    assert product.names(api) == ["one"]


@BOTH
def test_a_refused_upload_leaves_its_idempotency_key_free(api: Api, product: Product) -> None:
    headers = {"Idempotency-Key": "k"}
    product.send(api, product.document())
    refused = product.send(api, product.document(**product.change), headers=headers)
    problem(refused, 409, "duplicate")
    assert product.send(api, product.document("two"), headers=headers).status_code == 201


# ── At once ──────────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.django_db(transaction=True)
def test_the_same_many_times_at_once_is_one_row(
    alice: Person, website: Project, product: Product
) -> None:
    answers = at_once(*[lambda: product.send(alice.api, product.document())] * 6)
    assert len({product.id_of(answer) for answer in answers}) == 1
    assert len(product.rows()) == 1
    assert Upload.across_organizations.count() == 6


@BOTH
@pytest.mark.django_db(transaction=True)
def test_of_two_documents_that_race_for_a_name_one_is_refused(
    alice: Person, website: Project, product: Product
) -> None:
    other = product.document(**product.change)
    answers = at_once(
        *[lambda: product.send(alice.api, product.document())] * 3,
        *[lambda: product.send(alice.api, other)] * 3,
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted([statuses[:3], statuses[3:]]) == [[201] * 3, [409] * 3]
    [row] = product.rows()
    assert row.upload_id in set(Upload.across_organizations.values_list("pk", flat=True))


@BOTH
@pytest.mark.django_db(transaction=True)
def test_of_two_projects_that_race_for_a_name_one_is_refused(
    alice: Person, website: Project, product: Product
) -> None:
    product.send(alice.api, product.beside[0][1], product.beside[0][0], projectName="Other")
    answers = at_once(
        *[
            lambda name=name: product.send(alice.api, product.document(), projectName=name)
            for name in ("Website", "Other") * 2
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
    assert len(product.rows()) == 1


@BOTH
@pytest.mark.django_db(transaction=True)
def test_two_jobs_and_a_request_that_race_for_a_name_make_one_row(
    alice: Person, website: Project, product: Product
) -> None:
    body = product.large()
    jobs = [product.send(alice.api, body) for _ in range(2)]
    at_once(*[lambda job=job: run_job(job) for job in jobs])
    told = [status_of(job, alice.api) for job in jobs]
    assert [each["state"] for each in told] == ["completed", "completed"]
    assert told[0][f"{product.noun}Id"] == told[1][f"{product.noun}Id"]
    assert len(product.rows()) == 1


# ── Large ────────────────────────────────────────────────────────────────────


@BOTH
@pytest.mark.parametrize(("more", "status"), [(0, 201), (1, 202)])
def test_a_document_is_ingested_at_once_up_to_the_bound_itself(
    api: Api, product: Product, more: int, status: int
) -> None:
    body = product.of_size(limits.MAX_INLINE_INFLATED_SIZE + more)
    assert product.send(api, body).status_code == status
    assert len(product.rows()) == 1 - more


@BOTH
@pytest.mark.django_db(transaction=True)
def test_a_large_document_is_ingested_by_its_job(api: Api, product: Product) -> None:
    answer = product.send(api, product.large())
    assert set(answer.json()) == {"uploadId", "jobId", "statusUrl"}
    assert status_of(answer, api)["state"] == "pending"
    assert product.rows() == []
    job = Job.across_organizations.get()
    assert (job.type, str(job.project_id)) == (product.job_type, str(product_project(api)))
    run_job(answer)
    told = status_of(answer, api)
    [row] = product.rows()
    assert (told["state"], told["progress"]) == ("completed", 100)
    assert told[f"{product.noun}Id"] == str(row.pk)
    assert told["url"].endswith(f"/acme/{product.room}/{row.pk}/")
    assert str(row.upload_id) == answer.json()["uploadId"]


def product_project(api: Api) -> str:
    """The id of the only project there is."""
    [project] = api.send("GET", "/projects").json()["items"]
    found: str = project["id"]
    return found


@BOTH
@pytest.mark.django_db(transaction=True)
def test_a_job_that_runs_again_changes_nothing(api: Api, product: Product) -> None:
    answer = product.send(api, product.large())
    run_job(answer)
    before = (product.model.across_organizations.values().get(), status_of(answer, api))
    Job.across_organizations.update(state=State.WAITING)
    run_job(answer)
    assert (product.model.across_organizations.values().get(), status_of(answer, api)) == before


@BOTH
@pytest.mark.django_db(transaction=True)
def test_a_poisoned_document_fails_with_its_place_and_again_when_retried(
    api: Api, product: Product
) -> None:
    answer = product.send(api, product.large(**{product.long_text: 1}))
    for _ in range(2):
        run_job(answer)
        told = status_of(answer, api)
        assert (told["state"], told["problem"]["code"]) == ("failed", "invalid_payload")
        [error] = told["problem"]["errors"]
        assert error["pointer"] == f"/{product.items}/1200/{product.long_text}"
        assert product.rows() == []
        retry_job(answer)
        assert status_of(answer, api)["state"] == "pending"


@BOTH
@pytest.mark.django_db(transaction=True)
def test_what_failed_for_a_name_that_was_taken_succeeds_once_it_is_free(
    api: Api, product: Product
) -> None:
    product.send(api, product.document())
    answer = product.send(api, product.large())
    run_job(answer)
    assert status_of(answer, api)["problem"]["code"] == "duplicate"
    product.model.across_organizations.all().delete()
    retry_job(answer)
    run_job(answer)
    told = status_of(answer, api)
    assert (told["state"], told.get("problem")) == ("completed", None)
    assert product.names(api) == ["one"]


@BOTH
@pytest.mark.django_db(transaction=True)
def test_one_failure_of_several_is_its_own(api: Api, product: Product) -> None:
    good = product.send(api, product.large("good"))
    bad = [product.send(api, product.large(name, **{product.long_text: 1})) for name in "ab"]
    for answer in (bad[0], good, bad[1]):
        run_job(answer)
    states = [status_of(answer, api)["state"] for answer in (bad[0], good, bad[1])]
    assert states == ["failed", "completed", "failed"]
    assert product.names(api) == ["good"]


@BOTH
@pytest.mark.django_db(transaction=True)
def test_a_job_tells_how_far_it_is(
    api: Api, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("jobs.claims.Claim.note", lambda _claim, percent: told.append(percent))
    run_job(product.send(api, product.large()))
    assert len(told) == 1_201
    assert told == sorted(told)
    assert 0 < told[0] <= told[-1] == 95  # the rest is the commit


# ── What is kept ─────────────────────────────────────────────────────────────


@BOTH
def test_the_payload_is_what_was_sent(api: Api, alice: Person, product: Product) -> None:
    body = json.dumps(product.document(), indent=3).encode()
    row = product.id_of(product.send(api, body))
    detail = api.send("GET", product.path(row)).json()
    assert detail["payload"]["size"] == len(body)
    got = api.get(detail["payload"]["downloadUrl"].split("8000", 1)[-1])
    assert got.getvalue() == body
    page = alice.page().get(f"/en/acme/{product.room}/{row}/payload")
    assert page.getvalue() == body
    assert page["Content-Disposition"].startswith("attachment; filename=")
    assert row in page["Content-Disposition"]


@BOTH
@pytest.mark.parametrize(("count", "shown"), [(0, 0), (199, 199), (200, 200), (201, 200)])
def test_the_first_items_are_shown_in_their_order(
    api: Api, product: Product, count: int, shown: int
) -> None:
    texts = [f"text {number}" for number in range(count)]
    items = [product.item(**{product.long_text: text}) for text in texts]
    answer = product.send(api, product.document(**{product.items: items}))
    detail = api.send("GET", product.path(product.id_of(answer))).json()
    assert [item[product.long_text] for item in detail[product.items]] == texts[:shown]


@BOTH
def test_the_list_may_stand_anywhere_in_the_document(api: Api, product: Product) -> None:
    document = product.document("first")
    items = document.pop(product.items)
    first = product.id_of(product.send(api, {product.items: items, **document}))
    document[product.name] = "last"
    last = product.id_of(product.send(api, {**document, "more": [[]], product.items: items}))
    shown = [api.send("GET", product.path(row)).json()[product.items] for row in (first, last)]
    assert shown[0] == shown[1]
    assert len(shown[0]) == len(items)
