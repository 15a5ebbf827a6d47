"""An analysis with the real detectors."""

import contextlib
import os
import signal
import sys
import threading
from collections import Counter
from importlib import metadata
from pathlib import Path

import msgspec
import psutil
import pytest

from odavl.engines.insight import analyze as module
from odavl.engines.insight.analyze import analyze, list_detectors
from odavl.engines.insight.detectors import DETECTORS
from odavl.engines.insight.detectors.interface import Detector, Reading
from odavl.engines.running.processes import Command
from odavl.engines.running.programs import Program
from odavl.wire.analysis import ANALYSIS_DECODER
from odavl.wire.errors import UsageError
from tests.engines.documents import everything, found, report, statuses
from tests.engines.matching import Comparison, compare

SLEEP = "import time; time.sleep(600)"
BESIDE_US = Path(sys.executable).parent


class TestTheDocument:
    def test_holds_what_all_detectors_say(self, project):
        results = analyze(project)
        assert results.scope is not None
        assert results.scope.files is None
        names = [each.name for each in results.scope.detectors]
        assert names == [each.name for each in DETECTORS if each.name != "mypy"]
        for each in results.scope.detectors:
            if each.status == "ran":
                assert each.version
                assert each.duration_ms > 0
                own = [one for one in everything(results) if one.source == each.name]
                assert each.findings == len(own) > 0
        assert results.finding_count == sum(each.findings for each in results.scope.detectors)
        assert results.metrics.duration_ms > 0
        assert results.metrics.files_analyzed == 6
        assert results.metrics.code_lines == 6 + 1 + 2 + 2 + 1
        assert results.git.commit is None

    def test_is_within_the_bounds_of_the_wire(self, project):
        (project / "long.py").write_text(f"assert {'x' * 50_000}\nexec('{'y' * 9_000}')\n")
        results = analyze(project, detectors=["ruff", "bandit", "basedpyright"])
        encoded = msgspec.json.encode(results)
        assert ANALYSIS_DECODER.decode(encoded) == results
        assert max(len(each.snippet) for each in everything(results)) == 4000

    def test_findings_have_distinct_fingerprints_and_snippets(self, project):
        results = analyze(project)
        for diagnostics in results.diagnostics.values():
            assert len({each.fingerprint for each in diagnostics}) == len(diagnostics)
        assert results.diagnostics["pay.py"][0].snippet == "import os"

    def test_no_path_of_this_machine_is_in_it(self, tmp_path):
        (tmp_path / "one.py").write_text("from two import b\n\na = 1\n")
        (tmp_path / "two.py").write_text("from one import a\n\nb = a\n")
        results = analyze(tmp_path, detectors=["basedpyright"])
        (cycle,) = [one for one in everything(results) if one.code == "reportImportCycles"]
        assert "one.py" in cycle.message
        assert str(tmp_path) not in msgspec.json.encode(results).decode()

    def test_no_secret_is_in_it(self, project):
        (project / "pay.py").write_text('password = "hunter2-hunter2"\npassword = f(password)\n')
        encoded = msgspec.json.encode(analyze(project))
        assert b"hunter2" not in encoded
        assert b"AKIAQ3EGRIPZ4XKJH7TT" not in encoded  # pragma: allowlist secret

    def test_a_run_on_some_files_says_so_and_tells_only_of_them(self, project):
        results = analyze(project, files=["web", "gone.py"])
        assert results.scope is not None
        assert results.scope.files == [
            "gone.py", "web/lib.min.js", "web/ship.js", "web/ship.ts",
        ]  # fmt: skip
        assert all(path.startswith("web/") for path in results.diagnostics)
        assert statuses(results)["ruff"] == "skipped"

    def test_excludes_hold_for_every_detector(self, project):
        results = analyze(project, exclude=["pay.py", "/web/", "*.ini"])
        assert results.diagnostics == {}
        assert statuses(results)["eslint"] in {"skipped", "not-installed"}

    def test_gitignore_holds_for_every_detector(self, project):
        (project / ".gitignore").write_text("pay.py\nweb/\n*.ini\n")
        assert analyze(project).diagnostics == {}

    def test_the_same_again_is_the_same(self, project):
        assert compare(analyze(project).diagnostics, analyze(project).diagnostics)[:2] == (0, 0)

    def test_the_acceptance_edit(self, project):
        """Fix one finding, add one, move all others by renaming a file and adding lines."""
        (project / "ruff.toml").write_text('lint.select = ["F"]\n')
        many = "".join(f"import module_{number}\n" for number in range(10))
        (project / "clean.py").write_text(many)
        before = analyze(project, detectors=["ruff"]).diagnostics
        fixed = (project / "pay.py").read_text().replace("import os\n", "")
        (project / "pay.py").unlink()
        (project / "paying.py").write_text(f"# moved\n{fixed}")
        (project / "clean.py").write_text(f"\n\nimport added\n{many}")
        after = analyze(project, detectors=["ruff"]).diagnostics
        assert compare(before, after) == Comparison(new=1, fixed=1, unchanged=11)


class TestWhatDidNotRun:
    def test_an_unknown_detector_is_refused_and_the_known_ones_named(self, project):
        with pytest.raises(UsageError, match=r"rufff.*ruff, bandit, basedpyright"):
            analyze(project, detectors=["rufff"])

    def test_no_detector_at_all_is_refused(self, project):
        with pytest.raises(UsageError):
            analyze(project, detectors=[])

    def test_a_root_that_is_no_folder_is_refused(self, project):
        with pytest.raises(UsageError):
            analyze(project / "pay.py")

    def test_a_missing_tool_is_not_installed_and_says_what_installs_it(
        self, project, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        results = analyze(project, detectors=["ruff", "vulture"])
        assert statuses(results) == {"ruff": "not-installed", "vulture": "not-installed"}
        assert report(results, "ruff").detail == "pip install ruff"

    def test_mypy_stands_in_where_basedpyright_is_missing(self, project, tmp_path, monkeypatch):
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "mypy").symlink_to(BESIDE_US / "mypy")
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
        monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin")
        names = [each.name for each in module._choose(project, None)]
        assert "mypy" in names
        installed = {each.name: each.installed for each in list_detectors(project)}
        assert installed["mypy"]
        assert not installed["basedpyright"]

    def test_a_detector_without_files_is_skipped(self, tmp_path):
        (tmp_path / "a.txt").write_text("x")
        results = analyze(tmp_path, detectors=["ruff", "bandit"])
        assert statuses(results) == {"ruff": "skipped", "bandit": "skipped"}
        assert report(results, "ruff").detail == "There are no files for it here."

    def test_a_tool_that_fails_has_failed_and_found_nothing(self, project):
        (project / "ruff.toml").write_text("this is no setting")
        results = analyze(project, detectors=["ruff", "bandit"])
        assert statuses(results) == {"ruff": "failed", "bandit": "ran"}
        assert report(results, "ruff").detail.startswith("Exit code 2: ")
        assert found(results, "ruff") == set()

    def test_a_broken_ini_file_of_bandit_is_a_failure(self, project):
        (project / ".bandit").write_text("no section\n")
        assert statuses(analyze(project, detectors=["bandit"])) == {"bandit": "failed"}

    @pytest.mark.parametrize("name", ["ruff", "bandit", "mypy", "detect-secrets", "vulture"])
    def test_output_that_makes_no_sense_is_a_failure(self, project, tmp_path, monkeypatch, name):
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
        fake = tmp_path / "bin" / name
        fake.parent.mkdir()
        fake.write_text("#!/bin/sh\necho 'Segmentation fault'\nexit 0\n")
        fake.chmod(0o755)
        assert statuses(analyze(project, detectors=[name])) == {name: "failed"}

    def test_a_detector_that_takes_too_long_has_failed(self, project):
        results = analyze(project, detectors=["basedpyright"], timeout=0.05)
        assert statuses(results) == {"basedpyright": "failed"}
        assert report(results, "basedpyright").detail == "It did not end in time."


class TestSideBySide:
    def test_progress_is_told_in_the_callers_thread(self, project):
        seen = []
        threads = set()

        def on_progress(progress) -> None:
            seen.append((progress.detector, progress.state, progress.finished, progress.total))
            threads.add(threading.current_thread())
            assert (progress.report is None) == (progress.state == "running")

        analyze(project, detectors=["ruff", "vulture"], on_progress=on_progress)
        assert threads == {threading.main_thread()}
        assert Counter(state for _, state, _, _ in seen) == {"running": 2, "finished": 2}
        assert seen[-1][2:] == (2, 2)

    def test_an_interruption_kills_what_runs(self, project, monkeypatch):
        sleeper = Sleeper()
        monkeypatch.setattr(module, "DETECTORS", (sleeper,))
        children: list[psutil.Process] = []

        def interrupt() -> None:
            # Not whichever process comes first: the worker of a test run has children of its own.
            while not children:
                children.extend(each for each in psutil.Process().children() if is_asleep(each))
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            analyze(project)
        thread.join()
        assert psutil.wait_procs(children, timeout=300)[1] == []

    def test_a_defect_in_a_progress_callback_kills_what_runs(self, project, monkeypatch):
        monkeypatch.setattr(module, "DETECTORS", (Sleeper(),))

        def on_progress(_progress) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            analyze(project, on_progress=on_progress)


def is_asleep(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()[-1:] == [SLEEP]
    return False


class Sleeper(Detector):
    """Runs for ten minutes unless it is stopped."""

    name = "sleeper"
    categories = ("none",)
    install = "none"
    weight = 1

    def find(self, root):
        return Program((sys.executable,), sys.executable, "1")

    def takes(self, path):
        return True

    def commands(self, assignment):
        yield Command((*assignment.program.command, "-c", SLEEP))

    def read(self, finished, assignment):
        return Reading()


class TestTheList:
    def test_says_of_each_detector_what_it_is_and_where(self, project):
        listed = {each.name: each for each in list_detectors(project)}
        assert list(listed) == [each.name for each in DETECTORS]
        assert listed["ruff"].installed
        assert listed["ruff"].path == str(BESIDE_US / "ruff")
        assert listed["ruff"].version == metadata.version("ruff")
        assert listed["bandit"].categories == ("security",)
        assert listed["eslint"].install.startswith("npm install")
        assert listed["mypy"].stands_in_for == "basedpyright"
