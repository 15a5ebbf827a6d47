"""Rows 54 and 60: projects of one organization, kept apart."""

from __future__ import annotations

import pytest

from tests.problems import problem
from tests.tenancy.conftest import blog, shop
from tests.tenancy.keys import Bound
from tests.tenancy.sending import OTHER, WAYS, Sender, forgotten, runs_of

__all__ = ["blog", "shop"]


@pytest.mark.parametrize("days", [1, 8, 400])
@pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("send", WAYS.values(), ids=WAYS)
def test_row_54_a_queue_that_waited_sends_nothing_twice(
    shop: Bound, blog: Bound, send: Sender, again: Sender, days: int
) -> None:
    """The answer was lost, the laptop closed; the clean-up has run in between."""
    first = send(shop.api)
    forgotten(days)
    replayed = again(shop.api)
    assert replayed.json() == first.json()
    assert replayed.status_code == first.status_code == 201
    problem(again(shop.api, OTHER), 422, "idempotency_mismatch")
    assert runs_of(shop.project) == [first.json()["runId"]]
    assert again(blog.api).json()["runId"] in runs_of(blog.project)
