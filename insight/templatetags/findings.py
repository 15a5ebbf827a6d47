"""How findings look: severities, trends, snippets, states. Meaning never rests on colour alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from insight.models import Severity

register = template.Library()

_ICONS: dict[int, str] = {
    Severity.CRITICAL: "alert-octagon",
    Severity.HIGH: "alert-triangle",
    Severity.MEDIUM: "alert-circle",
    Severity.LOW: "circle-chevron-down",
    Severity.INFO: "info-circle",
}
_SPARK_WIDTH, _SPARK_HEIGHT = 100, 24


@dataclass(frozen=True, slots=True)
class SeverityCount:
    name: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class SnippetLine:
    number: int
    text: str
    marked: bool


def _severity(value: int | str) -> Severity:
    return Severity(value) if isinstance(value, int) else Severity[value.upper()]


@register.inclusion_tag("insight/_severity_badge.html")
def severity_badge(value: int | str, count: int | None = None) -> dict[str, object]:
    """``value`` is the stored number or the wire's word; ``count`` stands before the word."""
    severity = _severity(value)
    return {
        "name": severity.name.lower(),
        "label": severity.label,
        "icon_name": _ICONS[severity],
        "count": count,
    }


@register.simple_tag
def severity_counts(by_severity: Mapping[str, int]) -> list[SeverityCount]:
    """Worst first, those with none included."""
    return [
        SeverityCount(
            severity.name.lower(), str(severity.label), by_severity.get(severity.name.lower(), 0)
        )
        for severity in Severity
    ]


@register.simple_tag
def severity_bar(by_severity: Mapping[str, int]) -> SafeString:
    """An ornament beside numbers that stand in text."""
    parts = format_html_join(
        "",
        '<span class="tone-{}" style="--share:{}"></span>',
        ((entry.name, entry.count) for entry in severity_counts(by_severity) if entry.count),
    )
    return format_html('<div class="severity-bar" aria-hidden="true">{}</div>', parts)


@register.simple_tag
def sparkline(values: Sequence[int]) -> SafeString:
    """A small line of open issues, oldest first; read out as its first and last value."""
    if not values:
        return SafeString("")
    points = _spark_points(values)
    line = "M" + " L".join(f"{x:g},{y:g}" for x, y in points)
    ground = f"{line} V{_SPARK_HEIGHT} H{points[0][0]:g} Z"
    label = _("Open issues: from %(first)s to %(last)s") % {
        "first": values[0],
        "last": values[-1],
    }
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}"><path class="sparkline-ground" d="{}"/><path d="{}"/></svg>',
        _SPARK_WIDTH,
        _SPARK_HEIGHT,
        label,
        ground,
        line,
    )


def _spark_points(values: Sequence[int]) -> list[tuple[float, float]]:
    if len(values) == 1:
        values = [values[0], values[0]]
    low, high = min(values), max(values)
    step = _SPARK_WIDTH / (len(values) - 1)
    # A flat line belongs in the middle, not on the floor: nothing there says "none".
    reach = high - low
    return [
        (
            round(index * step, 2),
            _SPARK_HEIGHT / 2
            if reach == 0
            else round(2 + (_SPARK_HEIGHT - 4) * (high - value) / reach, 2),
        )
        for index, value in enumerate(values)
    ]


@register.simple_tag
def snippet_lines(snippet: str, first: int, line: int, end_line: int | None) -> list[SnippetLine]:
    """The lines of a snippet that starts at line ``first``, those of the finding marked."""
    last = max(end_line or line, line)
    return [
        SnippetLine(number=number, text=text, marked=line <= number <= last)
        for number, text in enumerate(snippet.splitlines(), start=first)
    ]


@register.simple_tag
def missing(detectors: Iterable[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """The detectors of a run that should have spoken and did not.

    One that was skipped is none of them: there was nothing for it to look at.
    """
    return [each for each in detectors if each.get("status", "ran") in ("failed", "not-installed")]


@register.filter
def ran(detector: Mapping[str, object]) -> bool:
    """Stored reports leave out what is the default, and to have run is."""
    return detector.get("status", "ran") == "ran"


@register.filter
def ran_count(detectors: Iterable[Mapping[str, object]]) -> int:
    return sum(map(ran, detectors))


@register.filter
def first_line(text: str) -> str:
    return text.partition("\n")[0]


@register.filter
def after_first_line(text: str) -> str:
    return text.partition("\n")[2]
