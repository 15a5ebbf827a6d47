from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig

from odavl_hub import celery

__all__ = ["HubConfig", "OperatorsConfig", "celery"]


class HubConfig(AppConfig):
    name = "odavl_hub"

    def ready(self) -> None:
        from odavl_hub import retention

        import_module("odavl_hub.checks")  # which need models, and register themselves
        retention.register_all()


class OperatorsConfig(AdminConfig):
    default_site = "odavl_hub.operators.OperatorsSite"
