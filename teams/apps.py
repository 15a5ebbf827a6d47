from django.apps import AppConfig


class TeamsConfig(AppConfig):
    name = "teams"

    def ready(self) -> None:
        from jobs import registry as jobs
        from teams.exports import services

        jobs.register(
            services.EXPORT_JOB,
            services.run_export,
            queue=services.QUEUE,
            timeout=services.TIMEOUT,
        )
