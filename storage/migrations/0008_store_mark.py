from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("storage", "0007_released_contents")]

    operations = [
        migrations.CreateModel(
            name="StoreMark",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=32)),
            ],
        ),
    ]
