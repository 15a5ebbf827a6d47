"""Who may see a page under ``/<language>/<organization>/``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import resolve_url
from django_htmx.middleware import HtmxDetails

from accounts.models import Membership, Organization, User
from accounts.principal import Principal, principal_of_member
from accounts.queries import membership_in
from accounts.roles import is_at_least
from odavl.wire.errors import HeldError, NotFound, RefusedError

P = ParamSpec("P")


class OrganizationRequest(HttpRequest):
    """A request that :func:`organization_page` let through."""

    user: User
    htmx: HtmxDetails
    organization: Organization
    membership: Membership
    principal: Principal


Page = Callable[Concatenate[OrganizationRequest, P], HttpResponseBase]


def organization_page(view: Page[P]) -> Callable[..., HttpResponseBase]:
    """Let members in and give ``view`` their ``organization``, ``membership`` and ``principal``.

    Whoever is not signed in goes to the sign-in page and comes back. To a stranger an organization
    looks as if it did not exist. The URL's ``organization_slug`` is used up here.
    """

    @wraps(view)
    def guarded(
        request: HttpRequest, *args: Any, organization_slug: str, **kwargs: Any
    ) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User):
            return redirect_to_login(request.get_full_path(), resolve_url(settings.LOGIN_URL))
        membership = membership_in(user, organization_slug)
        if membership is None:
            raise Http404
        member_request = cast("OrganizationRequest", request)
        member_request.membership = membership
        member_request.organization = membership.organization
        member_request.principal = principal_of_member(membership)
        return view(member_request, *args, **kwargs)

    return guarded


def member_page(view: Page[P]) -> Callable[..., HttpResponseBase]:
    """:func:`organization_page` where coded errors become the pages for 400, 403 and 404."""

    @wraps(view)
    def answered(
        request: OrganizationRequest, /, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.detail) from error
        except HeldError as error:
            raise PermissionDenied(error.detail) from error
        except RefusedError as error:
            raise BadRequest(error.detail) from error

    return organization_page(answered)


def require_role(least: str) -> Callable[[Page[P]], Callable[..., HttpResponseBase]]:
    """Inside of :func:`organization_page`: 403 for a member below ``least``."""

    def decorate(view: Page[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(
            request: OrganizationRequest, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            if not is_at_least(request.membership.role, least):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate
