from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.models import Role
from accounts.services import add_member, create_user
from tests.cast import PASSWORD, Api, Person
from tests.insight.documents import envelope
from tests.jobs.conftest import empty_queue
from tests.registries import weather

__all__ = ["empty_queue"]


@pytest.fixture
def room(settings) -> Iterator[None]:
    """The room of the weather stands in the house."""
    settings.ROOT_URLCONF = "tests.registries.weather"
    with weather.registered():
        yield


@pytest.fixture
def viewer(alice: Person) -> Client:
    """A browser of Vera, who may look at everything of Acme and change nothing."""
    vera = create_user(email="vera@example.com", password=PASSWORD, name="Vera")
    add_member(user=vera, role=Role.VIEWER, by=alice.membership)
    client = Client()
    client.force_login(vera)
    return client


def send_report(api: Api, document: Any, upload_type: str = "report", **headers: str) -> Any:
    body = envelope(document, upload_type, metadata={"projectName": "Website"})
    return api.send("POST", "/upload/weather", body, **headers)
