"""``manage.py hub``, run before Django is loaded: the database must be there first."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured

from odavl_hub.launcher.configuration import read_configuration
from odavl_hub.launcher.embedded import EmbeddedServiceError
from odavl_hub.launcher.errors import StartError
from odavl_hub.launcher.supervisor import Hub

CANNOT_START = 2


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C; the exit code: 0, or 2 with one line of why it cannot start."""
    try:
        Hub(read_configuration(arguments, os.environ)).run()
    except (StartError, EmbeddedServiceError, ImproperlyConfigured) as error:
        sys.stderr.write(f"odavl hub: {' '.join(str(error).split())}\n")
        return CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
