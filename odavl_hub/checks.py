"""System checks: a hub that is set up wrongly says so before it serves, with what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.http.request import validate_host
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from accounts.mail import is_configured
from accounts.permissions import HasScope, undeclared_methods
from frame.proxies import UNIX_SOCKET, misread
from storage.configuration import PROVIDERS


@register(Tags.security, deploy=True)
def secret_key(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The key that everybody can read in the source is for tests only."""
    del app_configs
    if settings.SECRET_KEY != settings.INSECURE_SECRET_KEY:
        return []
    return [
        Error(
            "SECRET_KEY is not set.",
            hint="Give SECRET_KEY, or SECRET_KEY_FILE, 50 characters of chance.",
            id="odavl_hub.E001",
        )
    ]


@register(Tags.security)
def declared_scopes(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Every API view that asks for a key says which scope each of its methods needs."""
    del app_configs
    return [
        Error(
            f"{view.__module__}.{view.__name__} declares no scope for {', '.join(methods)}.",
            hint="Name them in `required_scopes`.",
            obj=view,
            id="odavl_hub.E002",
        )
        for view in api_views()
        if HasScope in view.permission_classes and (methods := undeclared_methods(view))
    ]


@register()
def storage_provider(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    del app_configs
    if settings.STORAGE_PROVIDER in PROVIDERS:
        return []
    return [
        Error(
            f"STORAGE_PROVIDER is {settings.STORAGE_PROVIDER!r}.",
            hint=f"It must be one of {', '.join(PROVIDERS)}.",
            id="odavl_hub.E003",
        )
    ]


@register()
def public_url(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The address in every link that the hub gives out must be one that it answers."""
    del app_configs
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return [
            Error(
                f"ODAVL_PUBLIC_URL is {settings.PUBLIC_URL!r}.",
                hint="Write a whole address, such as https://odavl.example.com.",
                id="odavl_hub.E004",
            )
        ]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if settings.DEBUG or validate_host(host, settings.ALLOWED_HOSTS):
        return []
    return [
        CheckWarning(
            f"ALLOWED_HOSTS lacks {host}, the host of ODAVL_PUBLIC_URL.",
            hint="Add it, or every link that the hub gives out answers 400.",
            id="odavl_hub.W005",
        )
    ]


@register(Tags.security)
def trusted_proxies(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Who may say for whom they ask."""
    del app_configs
    wrong = misread(settings.TRUSTED_PROXIES)
    if wrong:
        return [
            Error(
                f"TRUSTED_PROXIES has {', '.join(map(repr, wrong))}.",
                hint="Write networks with commas between, such as 10.0.0.0/8,fd00::/8; "
                f"`{UNIX_SOCKET}` for a proxy that comes through a Unix socket.",
                id="odavl_hub.E006",
            )
        ]
    return [
        CheckWarning(
            f"TRUSTED_PROXIES trusts everybody: {word}.",
            hint="Whoever is trusted chooses the address under which they are counted. "
            "Name the proxies' own networks.",
            id="odavl_hub.W007",
        )
        for word in settings.TRUSTED_PROXIES
        if word.endswith("/0")
    ]


@register(Tags.security, deploy=True)
def proxy_of_https(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The hub itself speaks plain HTTP: an address with HTTPS means a proxy."""
    del app_configs
    if not settings.PUBLIC_URL.startswith("https://") or settings.TRUSTED_PROXIES:
        return []
    return [
        CheckWarning(
            "ODAVL_PUBLIC_URL is HTTPS, and TRUSTED_PROXIES names no proxy.",
            hint="Name the network of the reverse proxy, or all people behind it are counted as "
            "one when somebody guesses passwords, and none of their requests counts as secure.",
            id="odavl_hub.W008",
        )
    ]


@register(Tags.security, deploy=True)
def mail_server(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Whether people who forgot their password can help themselves."""
    del app_configs
    found: list[CheckMessage] = []
    if settings.EMAIL_BACKEND_ASKED_FOR.endswith("console.EmailBackend"):
        found.append(
            CheckWarning(
                "EMAIL_BACKEND would print letters into the log, links that let somebody in "
                "among them, and is not used.",
                hint="Set EMAIL_HOST, or leave both away: `manage.py reset_link` prints links.",
                id="odavl_hub.W009",
            )
        )
    elif not is_configured():
        found.append(
            CheckWarning(
                "No mail server is set, so people who forgot their password get no letter.",
                hint="Set EMAIL_HOST, or print them links with `manage.py reset_link ADDRESS`.",
                id="odavl_hub.W010",
            )
        )
    if settings.SIGNUP_OPEN and not is_configured():
        found.append(
            CheckWarning(
                "ODAVL_SIGNUP_OPEN has no effect: no mail server is set.",
                hint="Set EMAIL_HOST: who makes an account confirms the address by a letter.",
                id="odavl_hub.W011",
            )
        )
    return found


def api_views() -> Iterator[type[APIView]]:
    """Every class of :class:`APIView` that an address leads to, each once."""
    seen: set[type[APIView]] = set()
    for pattern in _patterns(get_resolver()):
        view = getattr(pattern.callback, "cls", None)
        if isinstance(view, type) and issubclass(view, APIView) and view not in seen:
            seen.add(view)
            yield view


def _patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _patterns(entry)
        else:
            yield entry
