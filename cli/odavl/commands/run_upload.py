"""Sending what lies under ``.odavl/``, for Autopilot and Guardian alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from odavl.commands.session import Session
from odavl.commands.terminal import ProgressLine, printable
from odavl.commands.uploading import chosen_project, failure_line, no_hub
from odavl.hub.run_files import (
    RunFile,
    RunProduct,
    files_of_all_runs,
    files_of_run,
    named_file,
    run_ids,
)
from odavl.hub.uploads import Sent, exit_code, upload_files
from odavl.project.own_files import PROJECT_FOLDER, project_folder
from odavl.wire.errors import UsageError

RESULTS = {
    "autopilot": f"{PROJECT_FOLDER}/ledger/run-*.json",
    "guardian": f"{PROJECT_FOLDER}/guardian/test-*.json",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks to send."""

    files: tuple[Path, ...]
    every: bool
    run_id: str | None
    upload_type: str | None
    project: str | None
    wait: bool


def send(session: Session, product: RunProduct, asked: Asked) -> int:
    """Send what is asked for, tell what became of it, and give the command's exit code."""
    session.flags["project"] = asked.project
    files = chosen_files(session.root, product, asked)
    if (error := no_hub(session)) is not None:
        raise error
    with ProgressLine(shown=session.talks) as line:
        sent = upload_files(
            session.destination(),
            product,
            files,
            project=chosen_project(session),
            wait=asked.wait,
            on_progress=line.tell,
        )
    session.note_upload(success=any(each.result.success for each in sent))
    _tell(session, product, sent)
    return exit_code(sent)


def chosen_files(root: Path, product: RunProduct, asked: Asked) -> list[RunFile]:
    """The files that are meant. Raises :class:`UsageError` where that is none."""
    if asked.files:
        return [_named(product, path, asked) for path in asked.files]
    if asked.upload_type:
        raise UsageError("--type says what FILE is, and none is named.")
    folder = project_folder(root)
    if asked.every:
        found = files_of_all_runs(folder, product)
    else:
        run_id = asked.run_id or next(reversed(run_ids(folder, product)), None)
        found = files_of_run(folder, product, run_id) if run_id else []
    if not found:
        wanted = RESULTS[product].replace("*", asked.run_id or "*")
        raise UsageError(
            f"Nothing to upload: there is no {wanted} in {root}.",
            hint="Go to the project's folder, or name the file.",
        )
    return found


def _named(product: RunProduct, path: Path, asked: Asked) -> RunFile:
    if not path.exists():
        raise UsageError(f"{path} does not exist.")
    if asked.upload_type:
        return RunFile(path=path, type=asked.upload_type, run_id=asked.run_id, silent=False)
    return named_file(product, path, run_id=asked.run_id)


def _tell(session: Session, product: RunProduct, sent: list[Sent]) -> None:
    loud = [each for each in sent if not each.file.silent]
    for each in loud:
        _tell_one(session, each, named=len(loud) > 1)
    if session.json:
        session.emit(
            {"product": product, "items": [_document(each) for each in sent]},
        )


def _tell_one(session: Session, each: Sent, *, named: bool) -> None:
    name = f"{each.file.path.name}: " if named else ""
    result = each.result
    if result.error is not None:
        session.warn(f"{name}{failure_line(result)}")
    elif session.json:
        return
    elif result.state == "processing":
        session.say(f"{name}Uploaded as {result.upload_id}; the hub is still taking it in.")
    else:
        session.show(printable(f"{name}Uploaded: {result.url}"))


def _document(each: Sent) -> dict[str, object]:
    return {
        "file": str(each.file.path),
        "type": each.file.type,
        "silent": each.file.silent,
        **each.result.document(),
    }
