"""``X-Request-Id`` goes through answers and logs."""

from __future__ import annotations

import logging

import pytest

from frame.request_ids import RequestIdFilter, current_request_id
from tests.cast import Api


def test_a_harmless_id_is_given_back(anonymous: Api):
    answer = anonymous.get("/healthz", headers={"X-Request-Id": "abc-123.X_y"})
    assert answer["X-Request-Id"] == "abc-123.X_y"


@pytest.mark.parametrize("sent", ["a" * 65, "a b", "a;b", "ключ", "a\nb", ""])
def test_any_other_is_replaced(anonymous: Api, sent):
    answer = anonymous.get("/healthz", headers={"X-Request-Id": sent})
    assert answer["X-Request-Id"] != sent
    assert len(answer["X-Request-Id"]) == 16


def test_log_lines_of_a_request_carry_its_id(anonymous: Api, caplog):
    caplog.handler.addFilter(RequestIdFilter())
    with caplog.at_level(logging.WARNING):
        anonymous.get("/api/nothing", headers={"X-Request-Id": "mine"})
    assert {record.request_id for record in caplog.records} == {"mine"}
    assert current_request_id() == "-"
