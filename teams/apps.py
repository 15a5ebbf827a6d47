from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TeamsConfig(AppConfig):
    name = "teams"

    def ready(self) -> None:
        from accounts import navigation
        from jobs import registry as jobs
        from storage import pages as storage_pages
        from teams.exports import services

        jobs.register(
            services.EXPORT_JOB,
            services.run_export,
            queue=services.QUEUE,
            timeout=services.TIMEOUT,
            label=_("Exporting data"),
            page=services.page_of_export,
        )
        navigation.register(
            navigation.Page(
                name="export",
                route="teams:export",
                menu=storage_pages.ACTIONS,
                label=_("Export all data"),
                icon="download",
                scope="projects:admin",
            )
        )
