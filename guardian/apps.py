from django.apps import AppConfig


class GuardianConfig(AppConfig):
    name = "guardian"

    def ready(self) -> None:
        from guardian import exports, receiving
        from guardian.page_tests import PAGE_TESTS
        from uploads import deferred, registry

        registry.register("guardian", receiving.GuardianHandler())
        deferred.register(PAGE_TESTS.job_type, PAGE_TESTS.ingest_deferred, area="guardian")
        exports.register_all()
