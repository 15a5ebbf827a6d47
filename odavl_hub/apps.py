from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig

from odavl_hub import celery

__all__ = ["HubConfig", "OperatorsConfig", "celery"]


class HubConfig(AppConfig):
    name = "odavl_hub"

    def ready(self) -> None:
        # Checks register themselves; both need models.
        from odavl_hub import checks, upkeep  # noqa: F401, PLC0415 - see above

        upkeep.register_all()


class OperatorsConfig(AdminConfig):
    default_site = "odavl_hub.operators.OperatorsSite"
