from datetime import timedelta

from django.apps import AppConfig


class InsightConfig(AppConfig):
    name = "insight"

    def ready(self) -> None:
        from insight.receiving import INGEST_JOB, InsightHandler, run_ingest_job  # noqa: PLC0415 - models must be ready
        from jobs import registry as jobs  # noqa: PLC0415
        from uploads import registry as uploads  # noqa: PLC0415

        uploads.register("insight", InsightHandler())
        jobs.register(INGEST_JOB, run_ingest_job, queue="bulk", timeout=timedelta(minutes=30))
