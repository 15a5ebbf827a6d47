"""The real detectors, one by one."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from odavl.engines.insight.analyze import analyze, list_detectors
from odavl.engines.insight.detectors.eslint import Eslint
from odavl.engines.insight.detectors.interface import Assignment
from odavl.engines.running.processes import Finished, ProgramFailed
from tests.engines.documents import everything, found, report, statuses

BESIDE_US = Path(sys.executable).parent
HAS_ESLINT = Eslint().find(Path("/nowhere")) is not None
needs_eslint = pytest.mark.skipif(not HAS_ESLINT, reason="ESLint is not installed")
PYTHON_TOOLS = ["ruff", "bandit", "basedpyright", "mypy", "detect-secrets", "vulture"]


def by_hand(root: Path, *command: str) -> str:
    program = str(BESIDE_US / command[0])
    answer = subprocess.run([program, *command[1:]], cwd=root, capture_output=True, check=False)
    return answer.stdout.decode()


class TestEveryDetector:
    def test_ruff(self, project):
        (project / "ruff.toml").write_text('lint.select = ["F", "S101"]\nfix = true\n')
        text = (project / "pay.py").read_text()
        results = analyze(project, detectors=["ruff"])
        assert found(results, "ruff") == {
            ("pay.py", "F401", 1), ("pay.py", "S101", 6), ("pay.py", "F821", 8),
        }  # fmt: skip
        unused = results.diagnostics["pay.py"][0]
        assert (unused.severity, unused.column, unused.end_column) == ("low", 8, 10)
        assert unused.fix == "Remove unused import: `os`"
        assert unused.url.startswith("https://docs.astral.sh/ruff/")
        assert (project / "pay.py").read_text() == text, "the project's fix = true is not obeyed"
        assert not (project / ".ruff_cache").exists()

    def test_bandit(self, project):
        (project / "broken.py").write_text("def f(:\n")
        results = analyze(project, detectors=["bandit"])
        assert found(results, "bandit") == {
            ("pay.py", "B404", 2), ("pay.py", "B101", 6), ("pay.py", "B602", 7),
        }  # fmt: skip
        assert report(results, "bandit").detail == "Could not be parsed: broken.py"
        worst = results.diagnostics["pay.py"][-1]
        assert (worst.severity, worst.column, worst.end_column) == ("high", 5, 49)

    def test_bandit_obeys_its_ini_file_but_writes_nothing_for_it(self, project):
        target = project.parent / "written"
        (project / ".bandit").write_text(
            f"[bandit]\nskips = B404\nlevel = 2\noutput = {target}\nformat = csv\n"
        )
        results = analyze(project, detectors=["bandit"])
        assert found(results, "bandit") == {("pay.py", "B602", 7)}
        assert not target.exists()

    def test_basedpyright_without_settings_tells_errors_only(self, project):
        results = analyze(project, detectors=["basedpyright"])
        assert found(results, "basedpyright") == {("pay.py", "reportUndefinedVariable", 8)}
        one = results.diagnostics["pay.py"][0]
        assert (one.severity, one.column, one.end_column) == ("high", 12, 26)

    def test_basedpyright_obeys_the_projects_settings(self, project):
        (project / "pyrightconfig.json").write_text(
            '{"typeCheckingMode": "off", "reportUndefinedVariable": false,'
            ' "reportUnusedImport": "warning"} // comments are allowed'
        )
        results = analyze(project, detectors=["basedpyright"])
        assert found(results, "basedpyright") == {("pay.py", "reportUnusedImport", 1)}

    def test_basedpyright_takes_names_with_spaces(self, project):
        (project / "my file.py").write_text("x: int = 'a'\n")
        results = analyze(project, detectors=["basedpyright"])
        assert ("my file.py", "reportAssignmentType", 1) in found(results, "basedpyright")
        assert ("pay.py", "reportUndefinedVariable", 8) in found(results, "basedpyright")

    def test_basedpyright_obeys_a_baseline_and_does_not_write_it(self, project):
        (project / "pyrightconfig.json").write_text("{}")
        (project / "old.py").write_text("x: int = 'a'\n")
        by_hand(project, "basedpyright", "--writebaseline")
        baseline = project / ".basedpyright" / "baseline.json"
        before = baseline.read_bytes()
        (project / "old.py").write_text("x: int = 1\n")
        (project / "new.py").write_text("y: int = 'a'\n")
        results = analyze(project, detectors=["basedpyright"])
        errors = {
            each for each in found(results, "basedpyright") if each[1] != "reportUnusedImport"
        }
        assert errors == {("new.py", "reportAssignmentType", 1)}
        assert baseline.read_bytes() == before

    def test_mypy(self, project):
        # Its settings, which could silence the finding, are not read.
        (project / "mypy.ini").write_text("[mypy]\nignore_errors = True\n")
        (project / "typed.py").write_text("number: int = 'text'\n")
        results = analyze(project, detectors=["mypy"])
        assert found(results, "mypy") == {("typed.py", "assignment", 1)}
        one = results.diagnostics["typed.py"][0]
        assert (one.severity, one.column, one.end_column) == ("medium", 15, 20)

    def test_mypy_that_cannot_parse_a_file_has_failed(self, project):
        (project / "broken.py").write_text("def f(:\n")
        results = analyze(project, detectors=["mypy"])
        assert statuses(results) == {"mypy": "failed"}
        assert "broken.py:1" in report(results, "mypy").detail
        assert results.diagnostics == {}

    def test_detect_secrets(self, project):
        results = analyze(project, detectors=["detect-secrets"])
        assert found(results, "detect-secrets") == {("settings.ini", "aws-access-key", 1)}
        assert results.diagnostics["settings.ini"][0].severity == "critical"

    def test_vulture(self, project):
        (project / "pyproject.toml").write_text(
            '[tool.vulture]\nignore_names = ["pa*"]\npaths = ["none"]\nverbose = true\n'
        )
        results = analyze(project, detectors=["vulture"])
        assert found(results, "vulture") == {("pay.py", "unused-import", 1)}

    def test_vulture_sees_uses_in_files_that_are_not_looked_at(self, project):
        (project / "caller.py").write_text("from pay import pay\n\npay(1)\n")
        results = analyze(project, detectors=["vulture"], files=["pay.py"])
        assert found(results, "vulture") == {("pay.py", "unused-import", 1)}

    @needs_eslint
    def test_eslint(self, project):
        trap = project.parent / "executed"
        (project / "eslint.config.js").write_text(
            f"require('fs').writeFileSync({str(trap)!r}, ''); module.exports = [];"
        )
        results = analyze(project, detectors=["eslint"], exclude=["eslint.config.js"])
        assert {
            ("web/ship.js", "no-eval", 2),
            ("web/ship.js", "no-self-compare", 2),
            ("web/ship.js", "no-unused-vars", 1),
            ("web/ship.ts", "@typescript-eslint/no-explicit-any", 1),
        } <= found(results, "eslint")
        assert not any("min.js" in path for path in results.diagnostics)
        assert not trap.exists()

    @needs_eslint
    def test_eslint_that_crashes_has_failed_and_says_why(self, project, tmp_path):
        detector = Eslint()
        tool = detector.find(project)
        assert tool is not None
        finished = Finished(2, b"", "Oops!\n\nError: no such thing\n    at file.js:1\n")
        assignment = Assignment(project, tool, (), frozenset(), (), whole=True, scratch=tmp_path)
        with pytest.raises(ProgramFailed, match=r"^Error: no such thing$"):
            detector.read(finished, assignment)

    @needs_eslint
    def test_eslint_calls_a_file_that_does_not_parse_a_finding(self, project):
        (project / "web" / "ship.js").write_text("let = ;")
        results = analyze(project, detectors=["eslint"], files=["web/ship.js"])
        assert {code for _, code, _ in found(results, "eslint")} == {"syntax-error"}


class TestEqualToTheToolByHand:
    """Over this very code: `ruff check .` and `bandit -r .` in a copy without anything ignored."""

    @pytest.fixture
    def copy(self, tmp_path) -> Path:
        root = tmp_path / "copy"
        root.mkdir()
        checkout = Path(__file__).parents[2]
        leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
        for name in ("cli", "tests/engines"):
            shutil.copytree(checkout / name, root / name, ignore=leave_out)
        shutil.copy(checkout / "pyproject.toml", root)
        (root / "extra.py").write_text("import os\nassert True\nexec('1')\n")
        return root

    def test_ruff(self, copy):
        told = json.loads(by_hand(copy, "ruff", "check", ".", "--output-format=json", "--no-cache"))
        results = analyze(copy, detectors=["ruff"])
        assert Counter(each.code for each in everything(results)) == Counter(
            each["code"] for each in told
        )
        assert told

    def test_bandit(self, copy):
        told = json.loads(by_hand(copy, "bandit", "-r", ".", "-f", "json", "-q"))["results"]
        results = analyze(copy, detectors=["bandit"])
        assert Counter(each.code for each in everything(results)) == Counter(
            each["test_id"] for each in told
        )
        assert len(told) > 1

    def test_ruff_over_some_files_obeys_its_own_excludes(self, copy):
        settings = copy / "pyproject.toml"
        settings.write_text(
            settings.read_text().replace("extend-exclude = [", 'extend-exclude = ["extra.py", ')
        )
        results = analyze(copy, detectors=["ruff"], files=["extra.py"])
        assert results.diagnostics == {}
        assert statuses(results) == {"ruff": "ran"}


class TestNoCodeOfTheProjectRuns:
    @pytest.mark.parametrize("name", PYTHON_TOOLS)
    def test_traps_stay_shut(self, project, name):
        trap = project.parent / "executed"
        spring = f"open({str(trap)!r}, 'w').close()\n"
        for module_name in (
            "json",
            "typing",
            "sitecustomize",
            "usercustomize",
            "plugin",
            "conftest",
        ):
            (project / f"{module_name}.py").write_text(spring)
        program = project / ".venv" / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\ntouch {trap}\nexec {sys.executable} "$@"\n')
        program.chmod(0o755)
        (program.parent.parent / "pyvenv.cfg").write_text("home = /usr/bin\n")
        (project / "mypy.ini").write_text("[mypy]\nplugins = plugin.py\n")
        (project / "pyrightconfig.json").write_text('{"venvPath": ".", "venv": ".venv"}')
        baseline = {
            "plugins_used": [],
            "filters_used": [{"path": "file://plugin.py::f"}],
            "results": {},
        }
        (project / ".secrets.baseline").write_text(json.dumps(baseline))
        results = analyze(project, detectors=[name])
        # mypy refuses to check a module that hides one of the standard library.
        assert statuses(results) == {name: "failed" if name == "mypy" else "ran"}
        assert not trap.exists()

    def test_an_activated_environment_in_the_project_is_not_started(self, project, monkeypatch):
        trap = project.parent / "executed"
        program = project / ".venv" / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\ntouch {trap}\nexec {sys.executable} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("VIRTUAL_ENV", str(project / ".venv"))
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        for name in PYTHON_TOOLS:
            results = analyze(project, detectors=[name])
            assert statuses(results) == {name: "ran"}
        assert not trap.exists()

    def test_an_activated_environment_elsewhere_tells_where_packages_lie(
        self, project, tmp_path, monkeypatch
    ):
        trap = tmp_path / "executed"
        program = tmp_path / "environment" / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\ntouch {trap}\nexec {sys.executable} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "environment"))
        assert statuses(analyze(project, detectors=["basedpyright"])) == {"basedpyright": "ran"}
        assert trap.exists()

    def test_settings_of_ruff_that_lead_elsewhere_show_nothing_of_it(self, project, tmp_path):
        (tmp_path / "elsewhere").write_text("root:hunter2-hunter2:0:0\n")
        (project / "ruff.toml").write_text(f'extend = "{tmp_path}/elsewhere"\n')
        results = analyze(project, detectors=["ruff"])
        assert statuses(results) == {"ruff": "failed"}
        assert "hunter2" not in report(results, "ruff").detail

    def test_tools_of_the_projects_own_tree_are_not_started(self, project, tmp_path, monkeypatch):
        trap = tmp_path / "executed"
        tools = project / "bin"
        tools.mkdir()
        for name in ("ruff", "node", "eslint"):
            (tools / name).write_text(f"#!/bin/sh\ntouch {trap}\n")
            (tools / name).chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
        monkeypatch.setenv("PATH", str(tools))
        assert statuses(analyze(project, detectors=["ruff"])) == {"ruff": "not-installed"}
        analyze(project, detectors=["eslint"])
        assert not trap.exists()

    def test_none_says_that_it_executes_project_code(self, project):
        assert not any(each.executes_project_code for each in list_detectors(project))
