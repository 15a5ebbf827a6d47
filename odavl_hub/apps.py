from datetime import timedelta

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig

from odavl_hub import celery

__all__ = ["HubConfig", "OperatorsConfig", "celery"]


_HOURLY = timedelta(hours=1)


class HubConfig(AppConfig):
    name = "odavl_hub"

    def ready(self) -> None:
        from jobs.registry import register_periodic  # noqa: PLC0415 - models are ready only now
        from odavl_hub import checks  # noqa: F401, PLC0415 - registers itself, apps are ready now
        from odavl_hub.upkeep import (  # noqa: PLC0415 - needs models
            forget_audit,
            forget_idempotency,
            forget_sessions,
        )

        register_periodic("accounts.forget_idempotency", forget_idempotency, every=_HOURLY)
        register_periodic("accounts.forget_audit", forget_audit, every=_HOURLY)
        register_periodic("accounts.forget_sessions", forget_sessions, every=_HOURLY)


class OperatorsConfig(AdminConfig):
    default_site = "odavl_hub.operators.OperatorsSite"
