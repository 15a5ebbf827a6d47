from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StorageConfig(AppConfig):
    name = "storage"

    def ready(self) -> None:
        from accounts import exports, navigation
        from jobs import retention
        from jobs.registry import register_periodic
        from storage import checks, queries, services
        from storage.collecting import cleaning, sweeping, verifying
        from storage.rendering import file_summary

        checks.register_all()
        navigation.register(
            navigation.Page(
                name="storage",
                route="storage:files",
                menu=navigation.ORGANIZATION_MENU,
                order=50,
                label=_("Storage"),
                icon="database",
                scope="storage:read",
            )
        )
        exports.register("files", queries.files_for_export, file_summary)
        register_periodic(
            "storage.clean_up",
            cleaning.clean_up,
            every=cleaning.EVERY,
            label=_("Removing files that have expired"),
        )
        retention.register("storage.released", services.discard_released, keep=timedelta(0))
        register_periodic(
            "storage.sweep",
            sweeping.sweep,
            every=sweeping.EVERY,
            label=_("Removing objects that nothing refers to"),
        )
        register_periodic(
            "storage.verify",
            verifying.verify,
            every=verifying.EVERY,
            label=_("Looking for bytes that are missing"),
        )
