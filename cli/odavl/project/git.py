"""What Git says about a folder. A machine without Git, or a folder without one, is no error."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from odavl.project.ci import detect_ci
from odavl.wire.errors import UsageError

TIMEOUT = 30.0
"""Seconds for one question to Git."""

_SCP_LIKE = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/\[\]]+):(?P<path>[^/].*|/.+)")


@dataclass(frozen=True, kw_only=True)
class GitFacts:
    """What is known; each is None where Git or the CI service does not tell."""

    remote: str | None = None
    branch: str | None = None
    commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class ChangedFiles:
    """Paths relative to the root, sorted: what can be read, and what is no longer there."""

    present: tuple[str, ...]
    gone: tuple[str, ...]


def git_facts(root: Path, environ: Mapping[str, str] = os.environ) -> GitFacts:
    """Remote, branch and commit of ``root``; CI variables fill in what a detached HEAD hides."""
    ci = detect_ci(environ)
    branch = _ask(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    commit = _ask(root, "rev-parse", "--verify", "--quiet", "HEAD")
    remote = _ask(root, "remote", "get-url", "origin")
    return GitFacts(
        remote=normalize_remote(remote) if remote else None,
        branch=branch or (ci.branch if ci else None),
        commit=commit or (ci.commit if ci else None),
    )


def normalize_remote(remote: str) -> str | None:
    """A remote as ``https://host/path``: no credentials, no ``.git``, the same for SSH and HTTPS.

    None for a remote on this machine: its path says nothing to a hub.
    """
    text = remote.strip()
    if "://" in text:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        path = parts.path
        if parts.scheme in {"http", "https"} and host and port not in {None, 80, 443}:
            host = f"{host}:{port}"
        if parts.scheme == "file":
            return None
    else:
        match = _SCP_LIKE.fullmatch(text)
        if match is None or len(match["host"]) == 1:  # one letter: a drive of Windows
            return None
        host, path = match["host"].lower(), match["path"]
    path = path.strip("/").removesuffix(".git").rstrip("/")
    return f"https://{host}/{path}" if host and path else None


def changed_files(root: Path, reference: str = "HEAD") -> ChangedFiles:
    """What differs from ``reference``, committed or not, with files that Git does not track yet.

    A renamed file counts under both names. Against another branch, the point where the two parted
    is what is compared with. Raises :class:`UsageError` where Git cannot tell.
    """
    if _ask(root, "rev-parse", "--is-inside-work-tree") != "true":
        raise UsageError(f"{root} is not in a Git repository, so --changed cannot tell.")
    base = _base_commit(root, reference)
    found: set[str] = set()
    if base is not None:
        compared = ("diff", "--no-ext-diff", "--name-only", "--no-renames", "--relative", "-z")
        changed = _run(root, *compared, base, "--", environment=_without_its_programs(root))
        found.update(_names(changed))
    tracked = () if base is not None else ("--cached",)
    found.update(
        _names(_run(root, "ls-files", "--others", *tracked, "--exclude-standard", "-z", "--", "."))
    )
    # One that may not be asked for counts as gone here; who reads it finds out more.
    present = {name for name in found if os.path.isfile(root / name)}  # noqa: PTH113 - never raises
    return ChangedFiles(present=tuple(sorted(present)), gone=tuple(sorted(found - present)))


def _base_commit(root: Path, reference: str) -> str | None:
    """The commit to compare with; None for ``HEAD`` before the first commit."""
    if reference.startswith("-"):
        raise UsageError(f"{reference} is not a branch, tag or commit.")
    commit = _ask(root, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    if commit is None:
        if reference == "HEAD":
            return None
        raise UsageError(
            f"Git knows no branch, tag or commit named {reference}.",
            hint="In a shallow CI checkout, fetch it first (git fetch origin BRANCH).",
        )
    return _ask(root, "merge-base", commit, "HEAD") or commit


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def _ask(root: Path, *arguments: str) -> str | None:
    """One line of Git's answer, or None where it has none."""
    try:
        answer = _git(root, *arguments)
    except (OSError, subprocess.SubprocessError):
        return None
    text = os.fsdecode(answer.stdout).strip()
    return text if answer.returncode == 0 and text else None


def _run(
    root: Path, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    try:
        answer = _git(root, *arguments, environment=environment)
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"Git could not be run: {error}.") from error
    if answer.returncode != 0:
        reason = os.fsdecode(answer.stderr).strip().partition("\n")[0]
        raise UsageError(f"Git failed: {reason or answer.returncode}.")
    return answer.stdout


def _without_its_programs(root: Path) -> dict[str, str]:
    """Environment in which a comparison starts no program that the repository itself names.

    A checkout may have come with its ``.git/config``: filters there would be run on changed files.
    Those of the person's own configuration (Git LFS) are left, as they tell what is changed.
    """
    own: list[str] = []
    for scope in ("--local", "--worktree"):
        answer = _git(root, "config", scope, "--includes", "--null", "--name-only", "--list")
        own += {
            key for key in _names(answer.stdout) if key.startswith("filter.") and key not in own
        }
    told = {"GIT_CONFIG_COUNT": str(len(own))}
    for number, key in enumerate(own):
        told |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": ""}
    return told


def _git(
    root: Path, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[bytes]:
    # --no-optional-locks: looking must not write into somebody's repository; fsmonitor is a
    # program that the repository's own configuration could name, as is whatever would fetch what a
    # partial clone lacks.
    command = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(root))
    return subprocess.run(
        (*command, *arguments),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT,
        check=False,
        env={
            **os.environ,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "none",
            **environment,
        },
    )
