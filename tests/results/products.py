"""Autopilot and Guardian as two of one kind: what a test over both has to know of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from autopilot.models import Cycle
from guardian.models import PageTest
from jobs import execution
from jobs.models import Job
from jobs.services import retry
from odavl.wire import limits
from tests.autopilot.ledgers import edit, ledger
from tests.cast import Api
from tests.guardian.results import check, results
from tests.insight.documents import envelope


@dataclass(frozen=True)
class Product:
    """``make`` is a whole document of a name; the rest says what its parts are called."""

    room: str
    upload_type: str
    noun: str
    model: type[Any]
    make: Callable[..., dict[str, Any]]
    name: str
    """The document's member with the client's name for it."""
    column: str
    time: str
    """The member with its time, which also is the name of a sorting."""
    items: str
    item: Callable[..., dict[str, Any]]
    long_text: str
    """A member of an item that may be as long as it likes."""
    change: dict[str, Any]
    """What makes it another document of the same name."""
    job_type: str
    beside: tuple[tuple[str, dict[str, Any]], ...]
    """Documents that come beside it, each with its type."""

    def document(self, name: str = "one", **fields: Any) -> dict[str, Any]:
        return self.make(name, **fields)

    def send(
        self, api: Api, payload: Any, upload_type: str = "", *, headers: Any = None, **metadata: Any
    ) -> Any:
        """The answer to one upload, into the project Website unless another is named."""
        if not {"projectName", "projectId"} & metadata.keys():
            metadata["projectName"] = "Website"
        body = envelope(payload, upload_type or self.upload_type, metadata=metadata)
        return api.send("POST", f"/upload/{self.room}", body, **(headers or {}))

    def id_of(self, answer: Any) -> str:
        """The row that an upload made or found."""
        assert answer.status_code == 201, answer.content
        made: str = answer.json()[f"{self.noun}Id"]
        return made

    def list(self, api: Api, query: str = "", **headers: str) -> Any:
        answer = api.send("GET", f"/{self.room}/{self.noun}s{query}", **headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def names(self, api: Api, query: str = "") -> list[str]:
        """The clients' names of the rows on a page."""
        return [row[self.name] for row in self.list(api, query)["items"]]

    def path(self, row_id: str, rest: str = "") -> str:
        """In the API."""
        return f"/{self.room}/{self.noun}s/{row_id}{rest}"

    def rows(self) -> list[Any]:
        return list(self.model.across_organizations.order_by("created_at"))

    def of_size(self, size: int, name: str = "one") -> bytes:
        """A document of exactly so many bytes."""
        empty = self.document(name, **{self.items: [self.item(**{self.long_text: ""})]})
        missing = size - len(json.dumps(empty))
        filled = {self.items: [self.item(**{self.long_text: "d" * missing})]}
        body = json.dumps(self.document(name, **filled)).encode()
        assert len(body) == size
        return body

    def large(self, name: str = "one", **last: Any) -> bytes:
        """A document of more than is ingested within a request; its last item with ``last``."""
        many = [self.item(**{self.long_text: "d" * 1_000}) for _ in range(1_200)]
        fields = {self.items: [*many, self.item(**last)]}
        body = json.dumps(self.document(name, **fields)).encode()
        assert len(body) > limits.MAX_INLINE_INFLATED_SIZE
        return body


AUTOPILOT = Product(
    room="autopilot",
    upload_type="ledger",
    noun="run",
    model=Cycle,
    make=ledger,
    name="runId",
    column="run_id",
    time="startedAt",
    items="edits",
    item=edit,
    long_text="diff",
    change={"trustScore": 0.5},
    job_type="autopilot.ledger",
    beside=(
        ("snapshot", {"files": {"a.py": "x"}}),
        ("recipe-trust", {"recipes": [{"recipe": "x", "trust": 1}]}),
        ("run-history", {"runs": []}),
    ),
)
GUARDIAN = Product(
    room="guardian",
    upload_type="test-results",
    noun="test",
    model=PageTest,
    make=results,
    name="testRunId",
    column="test_run_id",
    time="timestamp",
    items="tests",
    item=check,
    long_text="detail",
    change={"url": "https://shop.example/other"},
    job_type="guardian.results",
    beside=(
        ("lighthouse-report", {"categories": {}}),
        ("accessibility-report", {"score": 1}),
    ),
)
PRODUCTS = (AUTOPILOT, GUARDIAN)
BOTH = pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.room)


def status_of(answer: Any, api: Api) -> dict[str, Any]:
    """What an upload that a job ingests has come to."""
    assert answer.status_code == 202, answer.content
    found = api.send("GET", answer.json()["statusUrl"].split("/api/v1", 1)[1])
    assert found.status_code == 200, found.content
    told: dict[str, Any] = found.json()
    return told


def run_job(answer: Any) -> None:
    """Do the job that an upload was given, as a worker would."""
    assert answer.status_code == 202, answer.content
    assert execution.run(answer.json()["jobId"])


def retry_job(answer: Any) -> None:
    """Have a job that failed run again, as a person does."""
    retry(Job.across_organizations.get(pk=answer.json()["jobId"]))
