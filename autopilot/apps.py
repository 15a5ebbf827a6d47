from django.apps import AppConfig


class AutopilotConfig(AppConfig):
    name = "autopilot"

    def ready(self) -> None:
        from autopilot import exports, receiving
        from uploads import deferred, registry

        registry.register("autopilot", receiving.AutopilotHandler())
        deferred.register(receiving.LEDGER_JOB, receiving.take_in_later, area="autopilot")
        exports.register_all()
