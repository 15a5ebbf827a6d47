"""Whatever the schema allows, and what it does not, never ends in a 5xx."""

from __future__ import annotations

import zlib
from base64 import b64encode

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.models import Project
from odavl_hub.wsgi import application
from tests.autopilot.ledgers import ledger
from tests.autopilot.ledgers import send as send_ledger
from tests.cast import Person
from tests.guardian.results import png, results
from tests.guardian.results import send as send_results

SCHEMA = schemathesis.openapi.from_wsgi("/api/schema", application)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
BOUNDED = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    # The fixtures are made once and shared by all examples, as a real hub's rows are.
    suppress_health_check=list(HealthCheck),
)
PAYLOAD = {
    "diagnostics": {
        "shop/cart.py": [
            {"severity": "high", "message": "Unused import", "line": 3},
            {"severity": "low", "message": "Line too long", "line": 9},
        ]
    }
}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def real(alice: Person, website: Project) -> dict[str, str]:
    """Ids of things that are there, by the names that parameters have for them."""
    stored = alice.api.send(
        "POST",
        "/upload/insight",
        {
            "type": "analysis-results",
            "data": b64encode(msgspec.json.encode(PAYLOAD)).decode(),
            "metadata": {"projectName": "website"},
        },
    )
    assert stored.status_code == 201, stored.content
    picture = send_results(alice.api, png(), "screenshot", fileName="a.png", testRunId="t")
    assert picture.status_code == 201, picture.content
    test = send_results(alice.api, results("t"))
    cycle = send_ledger(alice.api, ledger())
    screenshots = alice.api.send("GET", "/guardian/screenshots").json()["items"]
    issues = alice.api.send("GET", "/insight/issues?project=website").json()["items"]
    run_id = stored.json()["runId"]
    return {
        "project": "website",
        "product": "insight",
        "upload_id": stored.json()["uploadId"],
        "run_id": run_id,
        "run": run_id,
        "against": run_id,
        "issue_id": str(issues[0]["id"]),
        "test_id": test.json()["testId"],
        "testRunId": "t",
        "runId": "run-1",
        "cycle_id": cycle.json()["runId"],
        "screenshot_id": screenshots[0]["id"],
    }


@SCHEMA.parametrize()
@BOUNDED
def test_any_request_gets_an_answer_that_is_foreseen(
    case: schemathesis.Case, alice: Person, real: dict[str, str]
):
    case.headers = {**(case.headers or {}), "Authorization": f"Bearer {alice.token}"}
    # Otherwise nearly every example is turned away at the door.
    for name in ("X-Organization-Id", "X-Project-Id"):
        case.headers.pop(name, None)
    for parameters in (case.path_parameters, case.query):
        for name in set(parameters or {}) & set(real):
            if zlib.crc32(repr((name, parameters)).encode()) % 4:
                parameters[name] = real[name]
    response = case.call()
    # The client within this process does not decompress, as every client over a network does.
    compressed = "content-encoding" in response.headers
    case.validate_response(response, checks=CHECKS[:2] if compressed else CHECKS)
