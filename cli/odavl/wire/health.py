"""How the hub is: what ``/api/health`` and ``/readyz`` say."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "degraded", "down"]


class Check(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that the hub stands on. ``detail`` is for people and gives nothing away."""

    status: State
    duration_ms: float = 0.0
    detail: str = ""


class Health(msgspec.Struct, kw_only=True, rename="camel"):
    """``down`` when nothing can be answered, ``degraded`` when something waits or is slow."""

    status: State
    version: str
    database: Check
    migrations: Check
    redis: Check
    storage: Check
    jobs: Check
    """Down while some wait for what is away."""


class Readiness(msgspec.Struct, kw_only=True, rename="camel"):
    """Whether requests may be sent here."""

    ready: bool
    database: Check
    migrations: Check


class Liveness(msgspec.Struct, kw_only=True, rename="camel"):
    """The process answers; nothing else was looked at."""

    status: Literal["ok"] = "ok"
