"""System checks: a store that is set up wrongly is told before the first upload fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

_STYLES = ("auto", "path", "virtual")


def register_all() -> None:
    register(s3_settings)
    register(azure_settings)
    register(size_limit)


def s3_settings(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    del app_configs
    return list(_s3_faults()) if settings.STORAGE_PROVIDER == "s3" else []


def azure_settings(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    del app_configs
    return list(_azure_faults()) if settings.STORAGE_PROVIDER == "azure" else []


def size_limit(app_configs: Sequence[AppConfig] | None, **_: object) -> list[CheckMessage]:
    """More than the store takes in 10,000 parts of 5 MiB could never be uploaded."""
    del app_configs
    if settings.STORAGE_MAX_FILE_SIZE <= 10_000 * 5 * 1024 * 1024:
        return []
    return [
        Error(
            "STORAGE_MAX_FILE_SIZE is more than 10,000 parts of 5 MiB.",
            hint="Give at most 52428800000.",
            id="storage.E006",
        )
    ]


def _s3_faults() -> Iterator[CheckMessage]:
    if not settings.S3_BUCKET:
        yield Error("S3_BUCKET is empty.", hint="Name the bucket.", id="storage.E001")
    if bool(settings.S3_ACCESS_KEY) != bool(settings.S3_SECRET_KEY):
        yield Error(
            "Only one of S3_ACCESS_KEY and S3_SECRET_KEY is set.",
            hint="Set both, or neither where the machine has a role of its own.",
            id="storage.E002",
        )
    for name in ("S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL"):
        address = getattr(settings, name)
        if address and not _is_address(address):
            yield Error(
                f"{name} is {address!r}.",
                hint="Write a whole address, such as https://s3.example.com.",
                id="storage.E003",
            )
    if settings.S3_ADDRESSING_STYLE not in _STYLES:
        yield Error(
            f"S3_ADDRESSING_STYLE is {settings.S3_ADDRESSING_STYLE!r}.",
            hint=f"It must be one of {', '.join(_STYLES)}.",
            id="storage.E004",
        )


def _azure_faults() -> Iterator[CheckMessage]:
    parts = dict(
        part.partition("=")[::2] for part in settings.AZURE_CONNECTION_STRING.split(";") if part
    )
    if not settings.AZURE_CONTAINER or not {"AccountName", "AccountKey"} <= parts.keys():
        yield Error(
            "AZURE_CONTAINER or AZURE_CONNECTION_STRING does not say where objects lie.",
            hint="The connection string needs AccountName and AccountKey, which sign addresses.",
            id="storage.E005",
        )


def _is_address(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)
