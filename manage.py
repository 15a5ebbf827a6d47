#!/usr/bin/env python
"""The hub's administrative command line."""

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["hub"]:
        # Before the settings are read: they name a database that the hub is to start first.
        from odavl_hub.launcher.command_line import main as hub  # noqa: PLC0415 - only for it

        sys.exit(hub(sys.argv[2:]))
    if sys.argv[1:2] == ["reset_link"]:
        from odavl_hub.launcher.running_hub import settings_of_running_hub  # noqa: PLC0415 - only for it

        os.environ.update(settings_of_running_hub(os.environ))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "odavl_hub.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - after the setting

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
