"""What a view says about itself for OpenAPI: its wire structs, beside the code that uses them.

::

    class RunsView(APIView):
        @documented("List the runs of a project", responses={200: RunPage}, parameters=PAGE)
        def get(self, request: Request) -> Response: ...

The hub's schema (``/api/schema``) is built from this; nothing here changes what a view does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from odavl.wire import limits

ATTRIBUTE = "wire_documentation"
ANY_KEY = ""
"""As the scope that a view requires: any valid key will do."""
MethodT = TypeVar("MethodT", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query or header parameter; ``schema`` is JSON Schema."""

    name: str
    description: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})
    location: Literal["query", "header", "path"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Documentation:
    summary: str
    description: str = ""
    request: object = None
    responses: Mapping[int, object] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    other_requests: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    public: bool = False


def documented(
    summary: str,
    *,
    request: object = None,
    responses: Mapping[int, object],
    parameters: tuple[Parameter, ...] = (),
    description: str = "",
    other_requests: Mapping[str, Mapping[str, object]] | None = None,
    public: bool = False,
) -> Callable[[MethodT], MethodT]:
    """Document a view's method.

    ``request`` and the values of ``responses`` are msgspec types, None for no body. Problems need
    not be named: every operation has them. ``other_requests`` maps further media types to JSON
    Schemas; ``public`` means that no key is needed.
    """
    documentation = Documentation(
        summary=summary,
        description=description,
        request=request,
        responses=dict(responses),
        parameters=parameters,
        other_requests=dict(other_requests or {}),
        public=public,
    )

    def attach(method: MethodT) -> MethodT:
        setattr(method, ATTRIBUTE, documentation)
        return method

    return attach


PAGE: tuple[Parameter, ...] = (
    Parameter(
        "limit",
        "How many items at most.",
        {
            "type": "integer",
            "minimum": 1,
            "maximum": limits.MAX_PAGE_SIZE,
            "default": limits.DEFAULT_PAGE_SIZE,
        },
    ),
    Parameter("cursor", "Where to go on: `next` of the page before."),
    Parameter(
        "offset", "How many items to skip.", {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    ),
)

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "The same key with the same request is done once and answered alike.",
    {"type": "string", "minLength": 1, "maxLength": limits.MAX_IDEMPOTENCY_KEY_LENGTH},
    location="header",
)

IF_MATCH = Parameter(
    "If-Match", "The ETag that the change is based on.", {"type": "string"}, location="header"
)
