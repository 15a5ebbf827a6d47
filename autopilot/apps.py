from django.apps import AppConfig


class AutopilotConfig(AppConfig):
    name = "autopilot"

    def ready(self) -> None:
        from autopilot import exports, receiving
        from autopilot.cycles import CYCLES
        from uploads import deferred, registry

        registry.register("autopilot", receiving.AutopilotHandler())
        deferred.register(CYCLES.job_type, CYCLES.ingest_deferred, area="autopilot")
        exports.register_all()
