from django.apps import AppConfig


class GuardianConfig(AppConfig):
    name = "guardian"

    def ready(self) -> None:
        from guardian import exports, receiving
        from uploads import deferred, registry

        registry.register("guardian", receiving.GuardianHandler())
        deferred.register(receiving.RESULTS_JOB, receiving.take_in_later, area="guardian")
        exports.register_all()
