"""What a view needs: it declares ``required_scopes``, and without a declaration nobody gets in."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.principal import principal_of
from frame.documentation import ANY_KEY
from odavl.wire.errors import MissingScope

if TYPE_CHECKING:
    # At run time the framework's views import this module.
    from rest_framework.views import APIView

HTTP_METHODS: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")


class DeclaresScopes(Protocol):
    """A view that :class:`HasScope` guards: the scope each of its methods needs."""

    required_scopes: ClassVar[dict[str, str]]


def undeclared_methods(view: type[APIView]) -> tuple[str, ...]:
    """The methods that ``view`` answers without saying which scope they need."""
    declared: dict[str, str] = getattr(view, "required_scopes", {})
    return tuple(
        method
        for method in HTTP_METHODS
        if hasattr(view, method.lower()) and method not in declared
    )


class HasScope(BasePermission):
    """Lets a request through whose key has the scope that the view declares for its method."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        principal = principal_of(request)
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in HTTP_METHODS or not hasattr(view, method.lower()):
            return True  # The view answers 405 by itself.
        scope: str | None = getattr(view, "required_scopes", {}).get(method)
        if scope is None:
            raise MissingScope("This method declares no scope and is closed.")
        if scope != ANY_KEY:
            principal.require(scope)
        return True
