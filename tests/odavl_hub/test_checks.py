"""System checks: wrong set-ups are named, with what to do."""

from __future__ import annotations

import pytest
from django.core import checks as django_checks
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import undeclared_methods
from frame.documentation import ANY_KEY
from odavl_hub import checks


def ids(messages):
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def test_the_tests_own_set_up_is_right():
    assert [message for message in django_checks.run_checks() if not message.is_silenced()] == []


def test_the_key_from_the_source_is_refused_where_it_would_serve(settings):
    settings.SECRET_KEY = settings.INSECURE_SECRET_KEY
    assert ids(checks.secret_key(None)) == ["odavl_hub.E001"]
    settings.SECRET_KEY = "another"
    assert checks.secret_key(None) == []


def test_an_unknown_storage_is_named(settings):
    settings.STORAGE_PROVIDER = "floppy"
    assert ids(checks.storage_provider(None)) == ["odavl_hub.E003"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8000", []),
        ("http://[::1]:8000", []),
        ("https://odavl.example", ["odavl_hub.W005"]),
        ("odavl.example", ["odavl_hub.E004"]),
        ("ftp://127.0.0.1", ["odavl_hub.E004"]),
    ],
)
def test_the_public_address_must_be_one_that_is_answered(settings, address, expected):
    settings.PUBLIC_URL = address
    settings.ALLOWED_HOSTS = ["127.0.0.1", "[::1]"]
    assert ids(checks.public_url(None)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["10.0.0.0/8", "::1", "unix"], []),
        (["nginx"], ["odavl_hub.E006"]),
        (["10.0.0.0/8", "10.0.0.0/40"], ["odavl_hub.E006"]),
        (["0.0.0.0/0"], ["odavl_hub.W007"]),
        (["::/0"], ["odavl_hub.W007"]),
    ],
)
def test_trusted_proxies_are_networks_and_not_everybody(settings, words, expected):
    settings.TRUSTED_PROXIES = words
    assert ids(checks.trusted_proxies(None)) == expected


def test_an_address_with_https_means_a_proxy(settings):
    settings.PUBLIC_URL = "https://odavl.example"
    settings.TRUSTED_PROXIES = []
    assert ids(checks.proxy_of_https(None)) == ["odavl_hub.W008"]
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert checks.proxy_of_https(None) == []


def test_a_method_without_a_scope_is_found():
    class Forgetful(APIView):
        required_scopes = {"GET": ANY_KEY}

        def get(self, request):
            return Response()

        def delete(self, request):
            return Response()

    assert undeclared_methods(Forgetful) == ("DELETE",)


def test_a_forgetful_view_is_reported(monkeypatch):
    class Forgetful(APIView):
        def post(self, request):
            return Response()

    monkeypatch.setattr(checks, "api_views", lambda: iter([Forgetful]))
    assert ids(checks.declared_scopes(None)) == ["odavl_hub.E002"]


def test_every_view_of_the_api_is_looked_at():
    names = {view.__name__ for view in checks.api_views()}
    assert {"ProjectsView", "UploadView", "HealthView"} <= names
