from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GuardianConfig(AppConfig):
    name = "guardian"

    def ready(self) -> None:
        from accounts import navigation
        from guardian import exports, receiving
        from uploads import deferred, registry

        registry.register("guardian", receiving.GuardianHandler())
        deferred.register(receiving.RESULTS_JOB, receiving.take_in_later, area="guardian")
        exports.register_all()
        navigation.register(
            navigation.Page(
                name="guardian",
                route="guardian:tests",
                menu=navigation.ORGANIZATION_MENU,
                order=40,
                label=_("Guardian"),
                icon="shield-check",
                scope="guardian:read",
            )
        )
