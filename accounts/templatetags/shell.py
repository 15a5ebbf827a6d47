"""What pages share: icons, the organization and project switches, form fields, commands."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.db.models import QuerySet
from django.forms import BoundField
from django.template import Context
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts import mail, navigation
from accounts.models import Organization, Project, User
from accounts.principal import Principal

register = template.Library()

SIDEBAR_PROJECTS = 15
_SECOND = 1000  # milliseconds
_MINUTE = 60  # seconds


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One icon of frontend/icons.json; without ``label`` it is an ornament to screen readers."""
    address = f"{static('vendor/icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon icon-{}" role="img" aria-label="{}"><use href="{}"></use></svg>',
            name,
            label,
            address,
        )
    return format_html(
        '<svg class="icon icon-{}" aria-hidden="true"><use href="{}"></use></svg>', name, address
    )


@register.simple_tag
def mail_is_sent() -> bool:
    """Whether this hub has a mail server."""
    return mail.is_configured()


@register.simple_tag
def organizations_of(user: User) -> QuerySet[Organization]:
    return user.organizations.order_by("name")


@register.simple_tag
def projects_beside(organization: Organization, current: Project | None = None) -> list[Project]:
    """The projects that the side bar names: the first by name, and ``current`` in any case."""
    projects = Project.objects.for_organization(organization).order_by("name", "pk")
    shown = list(projects[:SIDEBAR_PROJECTS])
    if current and current not in shown:
        shown = [*shown[:-1], current]
    return shown


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a menu, as it is shown."""

    page: navigation.Page
    url: str
    is_current: bool


@register.simple_tag(takes_context=True)
def menu(context: Context, name: str) -> list[Entry]:
    """The entries that a menu has for the reader of the page.

    The page's context tells ``organization``, ``project`` and ``section``.
    """
    principal: Principal = context["request"].principal
    organization, project = context["organization"], context.get("project")
    return [
        Entry(
            page,
            navigation.path_of(page.name, organization, project),
            page.name == context.get("section"),
        )
        for page in navigation.entries(name, principal)
    ]


@register.simple_tag
def page_url(name: str, organization: Organization, project: Project | None = None) -> str:
    """The path of a page that its room registered, which may stand above the template's."""
    return navigation.path_of(name, organization, project)


@register.simple_tag
def styled_field(field: BoundField) -> SafeString:
    """A form field in the kit's classes, tied to its errors for screen readers."""
    checkbox = getattr(field.field.widget, "input_type", "") == "checkbox"
    classes = "form-check-input" if checkbox else "form-control"
    attributes: dict[str, str | bool] = {"class": classes}
    if field.errors:
        attributes["class"] = f"{classes} is-invalid"
        attributes["aria-describedby"] = f"{field.auto_id}_error"
    # The label says what belongs here; a placeholder would vanish while writing.
    attributes["placeholder"] = ""
    return field.as_widget(attrs=attributes)


@register.filter
def milliseconds(value: float | None) -> str:
    """A duration for people: ``340 ms``, ``4.2 s``, ``3 min 5 s``."""
    if not value:
        return "\N{EN DASH}"
    if value < _SECOND:
        return _("%(number)s ms") % {"number": round(value)}
    seconds = value / _SECOND
    if seconds < _MINUTE:
        return _("%(number)s s") % {"number": f"{seconds:.1f}"}
    minutes, rest = divmod(round(seconds), _MINUTE)
    return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}


@register.filter
def percent(share: float | None) -> str:
    """A share from 0 to 1 for people; a dash for none. Only all is 100 %, only nothing is 0 %."""
    if share is None:
        return "\N{EN DASH}"
    rounded = f"{share:.0%}"
    if rounded == "100%" and share < 1:
        return "> 99%"
    return "< 1%" if rounded == "0%" and share > 0 else rounded


@register.inclusion_tag("partials/command.html")
def command(text: str) -> dict[str, str]:
    """A command to type, with a button that copies it."""
    return {"text": text}
