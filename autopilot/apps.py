from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AutopilotConfig(AppConfig):
    name = "autopilot"

    def ready(self) -> None:
        from accounts import navigation
        from autopilot import exports
        from autopilot.payload_types import PAYLOAD_TYPES
        from uploads import registry

        registry.register(*PAYLOAD_TYPES)
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
