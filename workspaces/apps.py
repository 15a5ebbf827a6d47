from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorkspacesConfig(AppConfig):
    name = "workspaces"

    def ready(self) -> None:
        from jobs.registry import register_periodic
        from workspaces import services

        register_periodic(
            "workspaces.clean_up",
            services.clean_up,
            every=timedelta(hours=1),
            label=_("Forgetting old revisions of workspaces"),
        )
