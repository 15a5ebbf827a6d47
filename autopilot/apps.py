from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AutopilotConfig(AppConfig):
    name = "autopilot"

    def ready(self) -> None:
        from accounts import navigation
        from autopilot import exports, receiving
        from uploads import deferred, registry

        registry.register("autopilot", receiving.AutopilotHandler())
        deferred.register(receiving.LEDGER_JOB, receiving.take_in_later, area="autopilot")
        exports.register_all()
        navigation.register(
            navigation.Page(
                name="autopilot",
                route="autopilot:cycles",
                menu=navigation.ORGANIZATION_MENU,
                order=30,
                label=_("Autopilot"),
                icon="robot",
                scope="autopilot:read",
            )
        )
