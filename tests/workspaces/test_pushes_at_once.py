"""Two pushes that both saw the same head: what decides is the head at the moment of the commit."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import Project
from tests.cast import Person
from tests.problems import problem
from tests.workspaces.pushes import commit, listed, pushed, put
from workspaces.models import Revision, Workspace

pytestmark = pytest.mark.django_db(transaction=True)
_WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"


def until_waiting(count: int) -> None:
    """Until so many sessions wait for a lock."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(_WAITING)
            if cursor.fetchone()[0] >= count:
                return
    pytest.fail("Nobody came to wait for the workspace.")


def test_of_two_that_saw_the_same_head_one_is_taken(alice: Person, website: Project) -> None:
    pushed(alice.api, {"history.json": b"[]"})
    contents = [b"[0]", b"[1]"]
    for content in contents:
        assert put(alice.api, content).status_code == 201
    answers: list[Any] = []

    def push(number: int) -> None:
        try:
            content = contents[number]
            answers.append(commit(alice.api, [listed("history.json", content)], base=1))
        finally:
            connection.close()

    # Chunks of another push arrive while somebody commits.
    def send() -> None:
        try:
            arrived.append(put(alice.api, b"{}").status_code)
        finally:
            connection.close()

    arrived: list[int] = []
    sender = threading.Thread(target=send)
    threads = [threading.Thread(target=push, args=(number,)) for number in range(2)]
    with transaction.atomic():
        # Both look at the head before either can commit.
        Workspace.across_organizations.select_for_update(no_key=True).get()
        for thread in threads:
            thread.start()
        until_waiting(2)
        sender.start()
        sender.join(60)
        assert arrived == [201]
    for thread in threads:
        thread.join(60)
    taken, refused = sorted(answers, key=lambda answer: answer.status_code)
    assert taken.status_code == 201
    problem(refused, 409, "conflict", pointer="/baseRevision")
    assert Workspace.across_organizations.get().head == Revision.across_organizations.count() == 2
