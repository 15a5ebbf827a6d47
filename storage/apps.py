from django.apps import AppConfig


class StorageConfig(AppConfig):
    name = "storage"

    def ready(self) -> None:
        from accounts import exporting  # noqa: PLC0415 - models are there only now
        from jobs.registry import register_periodic  # noqa: PLC0415 - as above
        from storage import checks, cleaning, queries, sweeping, verifying  # noqa: PLC0415 - as above
        from storage.rendering import file_summary  # noqa: PLC0415 - as above

        checks.register_all()
        exporting.register("files", queries.files_for_export, file_summary)
        register_periodic("storage.clean_up", cleaning.clean_up, every=cleaning.EVERY)
        register_periodic("storage.sweep", sweeping.sweep, every=sweeping.EVERY)
        register_periodic("storage.verify", verifying.verify, every=verifying.EVERY)
