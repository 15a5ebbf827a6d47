from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GuardianConfig(AppConfig):
    name = "guardian"

    def ready(self) -> None:
        from accounts import navigation
        from guardian import exports
        from guardian.payload_types import PAYLOAD_TYPES
        from uploads import registry

        registry.register(*PAYLOAD_TYPES)
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
