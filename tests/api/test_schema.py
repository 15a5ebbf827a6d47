"""The OpenAPI document: whole, valid, without warnings, and equal to the copy in docs/."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from drf_spectacular.validation import validate_schema

from accounts.permissions import HTTP_METHODS
from frame import reference
from frame.documentation import ATTRIBUTE
from frame.openapi import the_schema
from odavl_hub.checks import api_views

COPY = Path(__file__).resolve().parent.parent.parent / "docs" / "openapi.json"
HOW = "manage.py spectacular --format openapi-json --file docs/openapi.json"


def test_the_copy_in_docs_is_the_newest():
    assert json.loads(COPY.read_text(encoding="utf-8")) == the_schema(), f"Renew it with: {HOW}"


def test_the_document_is_valid_and_made_without_a_warning():
    validate_schema(the_schema())
    errors = io.StringIO()
    call_command("spectacular", "--fail-on-warn", "--validate", stdout=io.StringIO(), stderr=errors)
    assert errors.getvalue() == ""


def test_every_method_of_every_view_is_documented():
    silent = [
        f"{view.__name__}.{method.lower()}"
        for view in api_views()
        for method in HTTP_METHODS
        if hasattr(view, method.lower()) and not hasattr(getattr(view, method.lower()), ATTRIBUTE)
    ]
    assert silent == []


def test_every_operation_can_be_told_apart_and_refuses_with_problems():
    schema = the_schema()
    operations = [op for methods in schema["paths"].values() for op in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) > 10
    for operation in operations:
        content = operation["responses"]["default"]["content"]
        assert list(content) == ["application/problem+json"]
        assert operation["summary"]
    assert schema["paths"]["/api/v1/projects"]["get"]["security"] == [{"apiKey": []}]
    assert schema["paths"]["/api/health"]["get"]["security"] == []


def test_every_reference_leads_somewhere():
    text = json.dumps(the_schema())
    names = set(the_schema()["components"]["schemas"])
    used = {piece.split('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert used <= names
    assert "Problem" in used


@pytest.mark.parametrize(
    ("address", "accept", "media_type"),
    [
        ("/api/schema", "*/*", "application/json"),
        ("/api/schema?format=json", "application/yaml", "application/json"),
        ("/api/schema?format=yaml", "*/*", "application/yaml"),
        ("/api/schema", "application/yaml", "application/yaml"),
    ],
)
def test_the_document_is_served_in_both_forms(address, accept, media_type):
    answer = Client().get(address, headers={"Accept": accept})
    assert answer["Content-Type"] == media_type
    read = yaml.safe_load if media_type.endswith("yaml") else json.loads
    assert read(answer.content) == the_schema()


def test_the_page_lists_every_operation_and_document():
    answer = Client().get("/api/docs", headers={"Accept-Language": "ar"})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert '<html lang="en" dir="ltr">' in page
    for path, methods in the_schema()["paths"].items():
        assert path in page
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    for name in the_schema()["components"]["schemas"]:
        assert f'id="document-{name}"' in page
    assert "https://" not in page.replace("https://json-schema.org", "")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/Run"}, "Run"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Run"}}, "list of Run"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
         "string (date-time) or null"),
        ({"enum": ["a", "b"]}, '"a" | "b"'),
        ({}, "anything"),
    ],
)  # fmt: skip
def test_types_are_told_in_words(schema, words):
    assert reference.kind_of(schema) == words


def test_what_a_docstring_says_is_text_not_markup():
    assert reference.rich("a `b` <c> `<d>`") == "a <code>b</code> &lt;c&gt; <code>&lt;d&gt;</code>"
