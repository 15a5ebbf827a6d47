from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InsightConfig(AppConfig):
    name = "insight"

    def ready(self) -> None:
        from insight import exported, giving_up, receiving  # noqa: PLC0415 - models must be ready
        from jobs import registry as jobs  # noqa: PLC0415
        from uploads import registry as uploads  # noqa: PLC0415

        exported.register_all()
        uploads.register("insight", receiving.InsightHandler())
        jobs.register(
            receiving.INGEST_JOB,
            receiving.run_ingest_job,
            queue="bulk",
            timeout=timedelta(minutes=30),
            area="insight",
            on_failure=receiving.give_up,
            on_retry=receiving.take_up_again,
        )
        jobs.register_periodic(
            "insight.abandon_runs",
            giving_up.abandon_runs,
            every=timedelta(minutes=1),
            label=_("Giving up runs whose job was given up"),
        )
