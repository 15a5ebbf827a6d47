from django.apps import AppConfig


class AutopilotConfig(AppConfig):
    name = "autopilot"

    def ready(self) -> None:
        from autopilot import exported, receiving  # noqa: PLC0415 - models must be ready
        from uploads import deferring, registry  # noqa: PLC0415

        registry.register("autopilot", receiving.AutopilotHandler())
        deferring.register(receiving.LEDGER_JOB, receiving.take_in_later, area="autopilot")
        exported.register_all()
