"""Steps of migrations on tables that a hub at work reads and writes meanwhile."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently, NotInTransactionMixin
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddConstraint, RunSQL
from django.db.migrations.state import ProjectState
from django.db.models import UniqueConstraint

from frame.database.timeouts import set_timeouts

_SECONDS = 10
_IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))"


def short_locks() -> RunSQL:
    """First in a migration that changes a table: who waits for its lock holds up who comes after.

    The migration fails instead, and can be run again when the table is not busy.
    """
    return RunSQL(f"SET LOCAL lock_timeout = '{_SECONDS}s'", RunSQL.noop)


class AddUniqueConcurrently(NotInTransactionMixin, AddConstraint):
    """A unique constraint with a condition, which is an index, built while others write.

    The migration must not be atomic. What an interrupted one left of the index is dropped first.
    """

    model_name: str
    constraint: UniqueConstraint

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        _from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        statement = str(self.constraint.create_sql(model, schema_editor))
        name = schema_editor.quote_name(self.constraint.name)
        # It waits for transactions that were there before it, and keeps nobody waiting meanwhile.
        schema_editor.execute("SET lock_timeout = 0")
        try:
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            schema_editor.execute(
                statement.replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX CONCURRENTLY", 1)
            )
        finally:
            set_timeouts(schema_editor.connection)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        super().database_backwards(app_label, schema_editor, from_state, to_state)


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
        from_state: ProjectState,
        to_state: ProjectState,
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
