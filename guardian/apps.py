from django.apps import AppConfig


class GuardianConfig(AppConfig):
    name = "guardian"

    def ready(self) -> None:
        from guardian import exported, receiving  # noqa: PLC0415 - models must be ready
        from uploads import deferring, registry  # noqa: PLC0415

        registry.register("guardian", receiving.GuardianHandler())
        deferring.register(receiving.RESULTS_JOB, receiving.take_in_later, area="guardian")
        exported.register_all()
