"""OpenAPI 3.1 out of the views and their wire structs; drf-spectacular finds the routes.

What a body looks like is said once, by the msgspec struct that decodes it
(:func:`frame.documentation.documented`); this module turns it into a schema.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
import yaml
from drf_spectacular.drainage import warn
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent
from drf_spectacular.plumbing import resolve_django_path_parameter as path_parameter

from frame.documentation import ANY_KEY, ATTRIBUTE, Documentation, Parameter
from odavl.wire.problem import CONTENT_TYPE, Problem

_REFERENCE = "#/components/schemas/{name}"
_PATH_VARIABLE = re.compile(r"\{(\w+)\}")
_SECURITY = "apiKey"
HEALTH_TAG = "health"
_CLIENT_HEADERS: tuple[Parameter, ...] = (
    Parameter("X-Organization-Id", "Must agree with the key.", location="header"),
    Parameter(
        "X-Project-Id",
        "Must agree with the key; narrows an organization's key to one project.",
        location="header",
    ),
)


class WireSchema(AutoSchema):
    """Describes one view's method by its :class:`Documentation`."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: ComponentRegistry
    ) -> dict[str, object] | None:
        """The operation object; None, with a warning, for a method that documents nothing."""
        self.registry, self.path, self.path_regex = registry, path, path_regex
        self.path_prefix, self.method = path_prefix, method.upper()
        about: Documentation | None = getattr(
            getattr(self.view, method.lower(), None), ATTRIBUTE, None
        )
        if about is None:
            warn(f"{method} {path} is not documented.")
            return None
        operation: dict[str, object] = {
            "operationId": _operation_id(self.method, path),
            "summary": about.summary,
            "description": self._description(about),
            "tags": self.get_tags(),
            "parameters": self._parameters(about),
            "responses": self._responses(about),
            "security": [] if about.public else [{_SECURITY: []}],
        }
        body = self._request_body(about)
        if body:
            operation["requestBody"] = body
        return operation

    def get_tags(self) -> list[str]:
        steps = self.path.removeprefix("/api/v1/").strip("/").split("/")
        return [HEALTH_TAG] if not self.path.startswith("/api/v1/") else [steps[0]]

    def _description(self, about: Documentation) -> str:
        scope = getattr(self.view, "required_scopes", {}).get(self.method, ANY_KEY)
        needs = f"Needs the scope `{scope}`." if scope != ANY_KEY else ""
        return " ".join(part for part in (about.description, needs) if part)

    def _parameters(self, about: Documentation) -> list[dict[str, object]]:
        given = {parameter.name: parameter for parameter in about.parameters}
        found = []
        for name in _PATH_VARIABLE.findall(self.path):
            described = path_parameter(self.path_regex, name, []) or {"schema": {"type": "string"}}
            override = given.pop(name, None)
            found.append(
                {
                    "name": name,
                    "in": "path",
                    "required": True,
                    "description": override.description if override else _in_words(name),
                    "schema": dict(override.schema) if override else described["schema"],
                }
            )
        others = [*given.values(), *(() if about.public else _CLIENT_HEADERS)]
        return found + [_parameter(parameter) for parameter in others]

    def _request_body(self, about: Documentation) -> dict[str, object] | None:
        content: dict[str, object] = {}
        if about.request is not None:
            content["application/json"] = {"schema": self._schema(about.request)}
        for media_type, schema in about.other_requests.items():
            content[media_type] = {"schema": dict(schema)}
        return {"required": True, "content": content} if content else None

    def _responses(self, about: Documentation) -> dict[str, object]:
        problem = {CONTENT_TYPE: {"schema": self._schema(Problem)}}
        found: dict[str, Any] = {}
        for status, body in about.responses.items():
            found[str(status)] = {"description": HTTPStatus(status).phrase}
            if body is not None:
                found[str(status)]["content"] = {"application/json": {"schema": self._schema(body)}}
        if not about.public:
            found["401"] = {"description": "No key, or a wrong one", "content": problem}
            found["403"] = {"description": "The key may not do this", "content": problem}
        found["default"] = {"description": "What went wrong", "content": problem}
        return found

    def _schema(self, wire_type: object) -> dict[str, object]:
        """A reference to the struct's schema, registered with everything it uses."""
        (schema,), components = msgspec.json.schema_components(
            (wire_type,), ref_template=_REFERENCE, schema_hook=_custom
        )
        for name, component in components.items():
            self.registry.register_on_missing(
                ResolvedComponent(
                    name=name,
                    type=ResolvedComponent.SCHEMA,
                    schema=_plain_text(component),
                    object=name,
                )
            )
        return schema


def the_schema() -> dict[str, object]:
    """The whole OpenAPI document as plain data; equal for equal code, whatever the installation."""
    schema: dict[str, object] = json.loads(schema_as_json())
    return schema


def schema_as_json() -> str:
    """The document as indented JSON, made once in a process."""
    # The generator is not made for several threads at once: what one loads, another finds half.
    with _one_at_a_time:
        return _generated()


_one_at_a_time = threading.Lock()


@cache
def _generated() -> str:
    generator = SchemaGenerator()
    return json.dumps(generator.get_schema(request=None, public=True), indent=2) + "\n"


@cache
def schema_as_yaml() -> str:
    return yaml.safe_dump(the_schema(), sort_keys=False, allow_unicode=True)


def _parameter(parameter: Parameter) -> dict[str, object]:
    return {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _operation_id(method: str, path: str) -> str:
    steps = path.removeprefix("/api/v1/").strip("/").replace("{", "").replace("}", "")
    return f"{method.lower()}_{re.sub(r'[^a-z0-9]+', '_', steps)}"


def _custom(wire_type: type) -> dict[str, object]:
    if wire_type is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(wire_type)  # how msgspec wants to hear "not mine"


def _in_words(name: str) -> str:
    if name.endswith("_id"):
        return f"The id of the {name.removesuffix('_id').replace('_', ' ')}."
    return f"The {name.replace('_', ' ')}."


def _plain_text(value: object) -> object:
    """Docstrings mark code with two backticks, Markdown with one."""
    if isinstance(value, dict):
        return {
            key: _markdown(item)
            if key == "description" and isinstance(item, str)
            else _plain_text(item)
            for key, item in value.items()
        }
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain_text(item) for item in value]
    return value


def _markdown(text: str) -> str:
    return re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text).replace("``", "`")
