"""When the bytes of a content were let go."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("storage", "0008_store_mark")]

    operations = [
        migrations.AddField(
            model_name="storedobject",
            name="expired_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
