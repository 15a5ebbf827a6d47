"""The servers below us: embedded ones, or those that the environment names."""

from __future__ import annotations

import os
import subprocess
from urllib.parse import urlsplit

import psycopg2
from kombu import Connection
from kombu.exceptions import KombuError

from odavl_hub.launcher.configuration import Configuration
from odavl_hub.launcher.embedded import EmbeddedPostgres, EmbeddedRedis
from odavl_hub.launcher.errors import StartError

CONNECT_SECONDS = 5
Service = EmbeddedPostgres | EmbeddedRedis
Running = tuple[Service, "subprocess.Popen[bytes]"]


def embedded_services(configuration: Configuration) -> list[Service]:
    """Those that the environment names no address for, in the order of their start."""
    services: list[Service] = []
    if not os.environ.get("DATABASE_URL") and "DATABASE_URL_FILE" not in os.environ:
        services.append(EmbeddedPostgres(configuration.data))
    if not os.environ.get("REDIS_URL") and "REDIS_URL_FILE" not in os.environ:
        services.append(EmbeddedRedis(configuration.data))
    return services


def address_variable(service: Service) -> str:
    """The setting that names this service's address."""
    return "DATABASE_URL" if isinstance(service, EmbeddedPostgres) else "REDIS_URL"


def check_external(database_url: str | None, redis_url: str | None) -> None:
    """Raises :class:`StartError` when one of them (None: it is embedded) does not answer."""
    if database_url is not None:
        _check_database(database_url)
    if redis_url is not None:
        _check_redis(redis_url)


def _check_database(url: str) -> None:
    try:
        psycopg2.connect(url, connect_timeout=CONNECT_SECONDS).close()
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise StartError(
            f"The database {_without_password(url)} does not answer ({reason}): "
            "start it, or correct DATABASE_URL, or unset it for the embedded one."
        ) from error


def _check_redis(url: str) -> None:
    try:
        with Connection(url, connect_timeout=CONNECT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
    except (KombuError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise StartError(
            f"Redis {_without_password(url)} does not answer ({reason}): "
            "start it, or correct REDIS_URL, or unset it for the embedded one."
        ) from error


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return "(not an address)"
    return url.replace(f":{password}@", ":…@") if password else url
