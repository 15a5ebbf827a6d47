"""Machines of one project: each a checkout and a home of its own, with the real command line."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.client.fixtures import Result, command, command_environment


@dataclass
class Machine:
    root: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, root: Path, address: str, token: str, project: str = "website") -> Machine:
        root.mkdir(parents=True)
        environment = command_environment(
            root.with_name(f"{root.name}-home"),
            ODAVL_CLOUD_API=address,
            ODAVL_API_KEY=token,
            ODAVL_PROJECT_ID=project,
        )
        return cls(root, environment)

    @property
    def folder(self) -> Path:
        return self.root / ".odavl"

    def write(self, path: str, content: bytes) -> Path:
        found = self.folder / path
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_bytes(content)
        return found

    def files(self) -> dict[str, bytes]:
        """What lies in ``.odavl/`` and is not the machine's own."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith((".", "sync-state"))
        }

    def odavl(self, *arguments: str, **more: str) -> Result:
        return subprocess.run(
            command(*arguments),
            cwd=self.root,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def sync(self, name: str, *arguments: str, expect: int = 0) -> Any:
        """What ``odavl sync NAME --json`` tells, with the exit code that is expected."""
        result = self.odavl("sync", name, *arguments, "--json")
        assert result.returncode == expect, (result.stdout, result.stderr)
        return json.loads(result.stdout)
