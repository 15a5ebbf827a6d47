"""``manage.py storage_check``: compares the rows with the object store, both ways, here and now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model, QuerySet

from frame.database.clock import database_now
from odavl.wire.errors import OdavlError
from storage import keys
from storage.collecting import sweeping, verifying
from storage.configuration import object_store
from storage.models import StoredFile, StoredObject
from storage.objects.interface import Listed

_AT_ONCE = 200
_LONGEST_LIST = 100


class Command(BaseCommand):
    help = (
        "Tells which rows have no bytes in the object store, and which bytes no row refers to. "
        "Ends with 1 where bytes are missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--remove-unknown",
            action="store_true",
            help="remove what belongs to organizations that this hub does not know: right after "
            "an organization was deleted, wrong where another hub shares the store",
        )

        parser.add_argument(
            "--accept-store",
            action="store_true",
            help="take the store for the hub's, though it has not its mark: after objects were "
            "moved without it, or are lost for good; wrong where a disk is not mounted",
        )

    def handle(self, *_args: object, **options: Any) -> None:
        try:
            if options["accept_store"]:
                object_store().presence.accept()
            missing = self._rows()
            self._objects(remove_unknown=options["remove_unknown"])
        except OdavlError as error:
            raise CommandError(f"The object store cannot be asked: {error.detail}") from error
        if missing:
            raise CommandError(
                f"Rows without bytes: {missing}. Restore the store from its backup, or upload the "
                "same again: either mends them.",
                returncode=1,
            )

    def _rows(self) -> int:
        found = verifying.Gaps()
        tables: tuple[QuerySet[StoredObject] | QuerySet[StoredFile], ...] = (
            verifying.contents(),
            verifying.stored_files(),
        )
        for rows in tables:
            for page in _pages(rows.select_related("organization")):
                checked = verifying.check(page)
                found = verifying.Gaps(
                    found.looked_at + checked.looked_at, found.missing + checked.missing
                )
        self.stdout.write(f"{found.looked_at} rows with bytes in the store, {found.missing} lost")
        for row in _marked():
            name = f" {row.name!r}" if isinstance(row, StoredFile) else ""
            self.stdout.write(f"  lost: {row.key}{name} of {row.organization.slug}")
        return found.missing

    def _objects(self, *, remove_unknown: bool) -> None:
        count = size = waiting = unknown = foreign = 0
        # Everything that no row refers to, however young.
        moment = database_now() + timedelta(days=1)
        for objects in _listed():
            count += len(objects)
            size += sum(each.size for each in objects)
            waiting += len(sweeping.orphans(objects, older_than=moment))
            ours = [key for each in objects if (key := keys.key_of(each.key)) is not None]
            strangers = _strangers(ours)
            unknown += len(strangers)
            foreign += len(objects) - len(ours)
            if remove_unknown:
                for key in strangers:
                    object_store().delete(key.text)
        self.stdout.write(f"{count} objects with {size} bytes in the store")
        self.stdout.write(f"  {waiting} that no row refers to: the sweep removes them in time")
        done = "removed" if remove_unknown else "left alone (--remove-unknown)"
        self.stdout.write(f"  {unknown} of organizations that this hub does not know: {done}")
        self.stdout.write(f"  {foreign} that no hub of ours wrote: left alone")


def _strangers(ours: list[keys.Key]) -> list[keys.Key]:
    known = {key.text for key in keys.of_known_organizations(ours)}
    return [key for key in ours if key.text not in known]


def _marked() -> Iterator[StoredObject | StoredFile]:
    for model in (StoredObject, StoredFile):
        rows = model.across_organizations.filter(missing_since__isnull=False)
        yield from rows.select_related("organization").order_by("missing_since")[:_LONGEST_LIST]


def _pages(rows: QuerySet[Model]) -> Iterator[Sequence[Any]]:
    rows = rows.order_by("pk")
    page = list(rows[:_AT_ONCE])
    while page:
        yield page
        page = list(rows.filter(pk__gt=page[-1].pk)[:_AT_ONCE])


def _listed() -> Iterator[Sequence[Listed]]:
    page = object_store().listing()
    while True:
        yield page.objects
        if not page.next:
            return
        page = object_store().listing(cursor=page.next)
