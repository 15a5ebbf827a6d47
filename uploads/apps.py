from datetime import timedelta

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "uploads"

    def ready(self) -> None:
        from jobs import registry as jobs  # noqa: PLC0415 - models are ready only now
        from uploads import assembly, exported, transfers  # noqa: PLC0415 - models are ready only now

        exported.register_all()
        jobs.register(
            assembly.ASSEMBLY_JOB,
            assembly.run_assembly,
            timeout=timedelta(minutes=15),
            on_failure=assembly.give_up,
            on_retry=assembly.take_up_again,
        )
        jobs.register_periodic("uploads.clean_up", transfers.clean_up, every=timedelta(minutes=10))
