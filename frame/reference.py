"""The schema read for people: what the page of the API lists."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

_CODE = re.compile(r"`([^`]+)`")
_REFERENCE = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a property of a document. ``kind`` is its type in words."""

    name: str
    kind: str
    required: bool
    description: SafeString
    place: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """What travels: ``label`` is a media type or a status; ``document`` names a schema."""

    label: str
    description: SafeString
    document: str


@dataclass(frozen=True, slots=True)
class Operation:
    anchor: str
    method: str
    path: str
    summary: str
    description: SafeString
    public: bool
    parameters: tuple[Field, ...]
    requests: tuple[Body, ...]
    responses: tuple[Body, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Document:
    name: str
    description: SafeString
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    title: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    groups: tuple[Group, ...]
    documents: tuple[Document, ...]


def read(schema: dict[str, Any]) -> Reference:
    """Operations by tag and the documents they use, of an OpenAPI document as we make it."""
    groups: dict[str, list[Operation]] = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    documents = [
        _document(name, component) for name, component in schema["components"]["schemas"].items()
    ]
    return Reference(
        groups=tuple(
            Group(name, _title(name), tuple(operations))
            # What operators ask comes after what the API is for.
            for name, operations in sorted(groups.items(), key=lambda group: group[0] == "health")
        ),
        documents=tuple(documents),
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> Operation:
    return Operation(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=rich(operation["description"]),
        public=not operation["security"],
        parameters=tuple(
            Field(
                name=parameter["name"],
                kind=kind_of(parameter["schema"]),
                required=parameter["required"],
                description=rich(parameter["description"]),
                place=parameter["in"],
            )
            for parameter in operation["parameters"]
        ),
        requests=_bodies(operation.get("requestBody", {}).get("content", {})),
        responses=tuple(
            Body(
                label=status if status != "default" else "4xx, 5xx",
                description=rich(response["description"]),
                document=_document_in(response.get("content", {})),
            )
            for status, response in operation["responses"].items()
        ),
        example=_example(path, method, operation),
    )


def _bodies(content: dict[str, Any]) -> tuple[Body, ...]:
    return tuple(
        Body(label=media_type, description=SafeString(), document=_name_in(body["schema"]))
        for media_type, body in content.items()
    )


def _document_in(content: dict[str, Any]) -> str:
    return next((_name_in(body["schema"]) for body in content.values()), "")


def _name_in(schema: dict[str, object]) -> str:
    return str(schema.get("$ref", "")).removeprefix(_REFERENCE)


def _document(name: str, component: dict[str, Any]) -> Document:
    required = set(component.get("required", ()))
    return Document(
        name=name,
        description=rich(component.get("description", "")),
        fields=tuple(
            Field(
                name=field,
                kind=kind_of(schema),
                required=field in required,
                description=rich(schema.get("description", "")),
            )
            for field, schema in component.get("properties", {}).items()
        ),
    )


def rich(text: str) -> SafeString:
    """``text`` escaped, with what stands between backticks as code."""
    pieces = _CODE.split(text)
    found = [
        format_html_join("", "<code>{}</code>" if number % 2 else "{}", [(piece,)])
        for number, piece in enumerate(pieces)
    ]
    return format_html_join("", "{}", ((piece,) for piece in found))


def kind_of(schema: dict[str, Any]) -> str:
    """A JSON Schema in a few words: ``list of Run``, ``string (date-time) or null``."""
    if "$ref" in schema:
        return _name_in(schema)
    if "anyOf" in schema:
        return " or ".join(kind_of(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _title(tag: str) -> str:
    title = tag.replace("-", " ").replace("api ", "API ")
    return title[0].upper() + title[1:]


def _example(path: str, method: str, operation: dict[str, object]) -> str:
    """A command line that calls the operation."""
    lines = [f'curl -X {method.upper()} "$ODAVL_CLOUD_API{path}"']
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $ODAVL_API_KEY"')
    if "requestBody" in operation:
        lines.append('-H "Content-Type: application/json" -d @body.json')
    return " \\\n  ".join(lines)
