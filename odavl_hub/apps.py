from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig

from odavl_hub import celery

__all__ = ["HubConfig", "OperatorsConfig", "celery"]


class HubConfig(AppConfig):
    name = "odavl_hub"

    def ready(self) -> None:
        # Both need models; checks register themselves.
        from odavl_hub import checks, retention  # noqa: F401 - see above

        retention.register_all()


class OperatorsConfig(AdminConfig):
    default_site = "odavl_hub.operators.OperatorsSite"
