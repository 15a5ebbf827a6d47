"""When the last run of a stream was received, so that no page looks through all runs for it."""

from django.db import migrations, models

_BATCH = 500
# Rows that an upload holds at this moment get their value from it.
_FILL = """
UPDATE insight_stream AS stream SET last_run_at = (
    SELECT created_at FROM insight_run WHERE stream_id = stream.id ORDER BY sequence DESC LIMIT 1
)
FROM (
    SELECT id FROM insight_stream WHERE id > %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
) AS batch WHERE stream.id = batch.id
RETURNING stream.id
"""


def fill(_apps, schema_editor):
    last = 0
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(_FILL, [last, _BATCH])
            found = [number for (number,) in cursor.fetchall()]
            if not found:
                return
            last = max(found)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("insight", "0003_issue_stream_unchecked")]

    operations = [
        migrations.AddField(
            model_name="stream", name="last_run_at", field=models.DateTimeField(null=True)
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
