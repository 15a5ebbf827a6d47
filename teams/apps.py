from django.apps import AppConfig


class TeamsConfig(AppConfig):
    name = "teams"

    def ready(self) -> None:
        from jobs import registry as jobs  # noqa: PLC0415 - models are ready only now
        from teams import exports  # noqa: PLC0415 - models are ready only now

        jobs.register(
            exports.EXPORT_JOB,
            exports.run_export,
            queue=exports.QUEUE,
            timeout=exports.TIMEOUT,
        )
