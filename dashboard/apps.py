from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DashboardConfig(AppConfig):
    name = "dashboard"

    def ready(self) -> None:
        from accounts import navigation

        navigation.register(
            navigation.Page(
                name=navigation.OVERVIEW,
                route="dashboard:overview",
                menu=navigation.ORGANIZATION_MENU,
                order=10,
                label=_("Overview"),
                icon="layout-dashboard",
            )
        )
        navigation.register(
            navigation.Page(
                name=navigation.JOBS,
                route="dashboard:jobs",
                menu=navigation.ORGANIZATION_MENU,
                order=20,
                label=_("Jobs"),
                icon="list-check",
            )
        )
