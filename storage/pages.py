"""The storage in the browser: what lies there, who may fetch it, how much it takes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.navigation import Menu
from accounts.page_access import OrganizationRequest, member_page
from accounts.principal import Principal
from frame.listing import page_of
from odavl.wire import limits
from odavl.wire.envelope import PRODUCTS
from storage import files as services
from storage import queries
from storage.access import may_change
from storage.filters import SORTS, FileFilter
from storage.models import Access, FileState, StoredFile

ACTIONS = Menu("files")
"""Buttons beside the title; each of its pages is asked for by POST."""
PAGE_SIZE = 50
_SORT_NAMES = {
    "-createdAt": gettext_lazy("Newest first"),
    "createdAt": gettext_lazy("Oldest first"),
    "name": gettext_lazy("Name"),
    "-size": gettext_lazy("Largest first"),
    "-downloads": gettext_lazy("Most downloads"),
}
# A sorting without a name does not start.
_SORTS = {sort: _SORT_NAMES[sort] for sort in SORTS}
_STATES = {
    FileState.STORED: gettext_lazy("Stored"),
    FileState.PENDING: gettext_lazy("On the way"),
    FileState.REFUSED: gettext_lazy("Refused"),
}


@dataclass(frozen=True, slots=True)
class Row:
    file: StoredFile
    may_delete: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """One share of the space used; ``share`` in percent of the largest."""

    label: str
    files: int
    bytes: int
    share: float


@require_safe
@member_page
def files(request: OrganizationRequest) -> HttpResponse:
    request.principal.require("storage:read")
    wanted = FileFilter.from_query(request.GET)
    visible = queries.visible_files(request.principal)
    page = page_of(
        wanted.apply(visible).select_related("uploaded_by"),
        order=SORTS[wanted.sort],
        cursor=request.GET.get("cursor", ""),
        size=PAGE_SIZE,
    )
    context = _usage(request.principal, visible) | {
        "organization": request.organization,
        "section": "storage",
        "filter": wanted,
        "page": page,
        "rows": list(_rows(request.principal, page.items)),
        "count": wanted.apply(visible).count(),
        "product_choices": PRODUCTS,
        "access_choices": Access.choices,
        "state_choices": _STATES.items(),
        "sort_choices": _SORTS.items(),
    }
    return render(request, "storage/files.html", context)


@require_safe
@member_page
def download(request: OrganizationRequest, file_id: uuid.UUID) -> HttpResponseRedirect:
    request.principal.require("storage:read")
    file = queries.file_of(request.principal, file_id)
    signed = services.download_address(file, seconds=limits.MIN_SIGNED_URL_SECONDS)
    return HttpResponseRedirect(signed.url, headers={"Cache-Control": "no-store"})


@require_POST
@member_page
def delete(request: OrganizationRequest, file_id: uuid.UUID) -> HttpResponseRedirect:
    file = queries.file_of(request.principal, file_id)
    services.delete_file(by=request.principal, file=file)
    messages.success(request, _("%(name)s was deleted.") % {"name": file.name})
    return redirect("storage:files", request.organization.slug)


def _usage(principal: Principal, visible: Any) -> dict[str, Any]:
    by_type = queries.tallies(visible, "content_type")
    shared_bytes = queries.shared_bytes(visible)
    return {
        "total_files": sum(each.files for each in by_type),
        "shared_bytes": shared_bytes,
        "saved_bytes": sum(each.bytes for each in by_type) - shared_bytes,
        "total_downloads": sum(each.downloads for each in by_type),
        "payloads": queries.payloads_of(principal),
        "type_choices": sorted(each.name for each in by_type),
        "by_type": list(_bars(by_type)),
        "by_product": list(_bars(queries.tallies(visible, "product"))),
    }


def _bars(tallies: list[queries.Tally]) -> Iterator[Bar]:
    largest = max((each.bytes for each in tallies), default=0) or 1
    for each in tallies:
        yield Bar(each.name, each.files, each.bytes, round(100 * each.bytes / largest, 1))


def _rows(principal: Principal, found: list[StoredFile]) -> Iterator[Row]:
    for file in found:
        yield Row(file, may_change(principal, file))
