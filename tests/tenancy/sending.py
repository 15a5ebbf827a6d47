"""One payload in each of the ways that uploads come, under one ``Idempotency-Key``."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.idempotency import delete_old_records
from accounts.models import IdempotencyRecord, Project
from insight.models import Run
from tests.cast import Api
from tests.insight.documents import document, envelope, finding
from tests.transfers.manifests import cut, finalize, manifest, put
from uploads.models import Upload

PAYLOAD = json.dumps(document({"a.py": [finding(str(n)) for n in range(40)]})).encode()
OTHER = PAYLOAD + b" "
KEY = "a key that two pipelines share"

Sender = Callable[..., Any]


def as_envelope(api: Api, payload: bytes = PAYLOAD, key: str = KEY) -> Any:
    body = envelope(payload, metadata={})
    return api.send("POST", "/upload/insight", body, **{"Idempotency-Key": key})


def as_body(api: Api, payload: bytes = PAYLOAD, key: str = KEY) -> Any:
    headers = {
        "Idempotency-Key": key,
        "X-Odavl-Type": "analysis-results",
        "X-Odavl-Metadata": urlsafe_b64encode(b"{}").decode(),
    }
    return api.post(
        "/api/v1/upload/insight",
        payload,
        content_type="application/octet-stream",
        headers=headers,
    )


def in_chunks(api: Api, payload: bytes = PAYLOAD, key: str = KEY) -> Any:
    parts = cut(payload, 1_000)
    body = manifest(payload, parts, metadata={})
    begun = api.send("POST", "/upload/insight/init", body, **{"Idempotency-Key": key})
    if begun.status_code != 201:
        return begun
    for part in parts:
        put(api, begun.json()["uploadId"], part)
    return finalize(api, begun.json()["uploadId"])


WAYS: dict[str, Sender] = {"envelope": as_envelope, "body": as_body, "chunks": in_chunks}


def runs_of(project: Project) -> list[str]:
    rows = Run.across_organizations.filter(stream__project=project)
    return [str(pk) for pk in rows.values_list("pk", flat=True)]


def forgotten(days: int) -> None:
    """Everything is ``days`` older, and what is kept for a day has gone."""
    moment = timezone.now() - timedelta(days=days)
    IdempotencyRecord.across_organizations.update(created_at=moment)
    delete_old_records(older_than=timezone.now() - timedelta(hours=23))
    assert not IdempotencyRecord.across_organizations.exists()
    Upload.across_organizations.update(created_at=moment)
