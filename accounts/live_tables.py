"""Steps of migrations on tables that a hub at work reads and writes meanwhile."""

from __future__ import annotations

from django.contrib.postgres.operations import NotInTransactionMixin
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddConstraint, RunSQL
from django.db.migrations.state import ProjectState
from django.db.models import UniqueConstraint

from accounts.connections import set_timeouts

_SECONDS = 10


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
        from_state: ProjectState,  # noqa: ARG002 - Django's signature
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
