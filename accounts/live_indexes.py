"""Indexes that are built while the hub goes on writing."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.connections import set_timeouts

_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))"


class AddLiveIndex(AddIndexConcurrently):
    """CREATE INDEX CONCURRENTLY that may be tried again after it was interrupted.

    It waits for the transactions that were there before it, such as an ingest of many minutes, and
    keeps nobody waiting meanwhile: so no time-out ends it. One that ends all the same leaves an
    invalid index behind, which is dropped here.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        connection = schema_editor.connection
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")
            try:
                cursor.execute(_IS_VALID, [self.index.name])
                found = cursor.fetchone()
                if found is not None and not found[0]:
                    name = schema_editor.quote_name(self.index.name)
                    cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
                if found is None or not found[0]:
                    super().database_forwards(app_label, schema_editor, from_state, to_state)
            finally:
                set_timeouts(connection)
