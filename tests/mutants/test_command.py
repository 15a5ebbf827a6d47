"""The command upon a toy: a package with one good and one bad test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]

PRICE = """\
def is_free(total):
    return total >= 50


def discount(count):
    if count > 10:
        return 5
    return 0
"""

TESTS = """\
from shop.price import discount, is_free


def test_that_looks_at_the_boundary():
    assert is_free(50)
    assert not is_free(49)


def test_that_does_not():
    assert discount(100) == 5
    assert discount(1) == 0
"""

ROOMS = """\
suite = ["trials"]

[rooms.shop]
code = ["shop"]
tests = ["trials"]
"""

SLOW = """\

def test_that_lasts():
    import pathlib, subprocess
    program = subprocess.Popen(["sleep", "1000"])
    pathlib.Path({told!r}).write_text("begun")
    program.wait()
"""


class Toy:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "toy"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.write("shop/__init__.py", "")
        self.write("shop/price.py", PRICE)
        self.write("trials/test_price.py", TESTS)
        self.write("rooms.toml", ROOMS)
        self.write("pytest.ini", "[pytest]\npythonpath = .\nmarkers =\n  browser\n  end_to_end\n")
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *options: str) -> subprocess.Popen[str]:
        own = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DATABASE_URL", "REDIS_URL", "PYTEST_ADDOPTS"}
        }
        command = [sys.executable, "-m", "mutants", "--rooms", "rooms.toml", "--seed", "1"]
        return subprocess.Popen(
            [*command, "--equivalent", "equivalent.toml", *options],
            cwd=self.root,
            env={
                **own,
                "PYTHONPATH": str(ROOT),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "TMPDIR": str(self.temporary),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str) -> tuple[int, str]:
        process = self.start(*options)
        output, _ = process.communicate()
        return process.returncode, output

    def result(self) -> dict:
        return json.loads((self.root / ".mutants/result.json").read_text())

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): path.read_text()
            for folder in ("shop", "trials")
            for path in (self.root / folder).rglob("*.py")
        }


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_the_survivors_of_the_bad_test_are_reported(toy: Toy) -> None:
    before = toy.files()

    code, output = toy.run()

    assert code == 1, output
    survivors = {
        (verdict["line"], verdict["kind"], verdict["diff"].splitlines()[-2])
        for verdict in toy.result()["verdicts"]
        if not verdict["killed"]
    }
    assert survivors == {
        (6, "core/ReplaceComparisonOperator_Gt_GtE", "+    if count >= 10:"),
        (6, "core/NumberReplacer", "+    if count > 11:"),
        (6, "core/NumberReplacer", "+    if count > 9:"),
    }
    assert "shop/price.py:6 discount (ReplaceComparisonOperator_Gt_GtE)" in output
    assert "    trials/test_price.py::test_that_does_not" in output
    assert toy.files() == before
    assert list(toy.temporary.iterdir()) == []


def test_every_noticed_mistake_names_the_test_that_noticed(toy: Toy) -> None:
    toy.run()

    by = {
        (verdict["function"], verdict["by"])
        for verdict in toy.result()["verdicts"]
        if verdict["killed"]
    }
    assert by == {
        ("is_free", "trials/test_price.py::test_that_looks_at_the_boundary"),
        ("discount", "trials/test_price.py::test_that_does_not"),
    }


def test_the_goal_decides_the_exit_code(toy: Toy) -> None:
    code, output = toy.run("--goal", "50")

    assert code == 0, output
    assert "Goal 50 %: met" in output


def test_a_better_test_is_measured_again_and_notices(toy: Toy) -> None:
    toy.run()
    toy.write("trials/test_price.py", TESTS + "    assert (discount(11), discount(10)) == (5, 0)\n")

    code, output = toy.run()

    assert code == 0, output
    assert toy.result()["score"] == 100


def test_a_mistake_that_is_no_functions_is_tried_in_a_fresh_process(toy: Toy) -> None:
    toy.write("shop/price.py", PRICE.replace("> 10", "> LEAST") + "\n\nLEAST = 10\n")
    toy.write("trials/test_price.py", TESTS + "    assert (discount(11), discount(10)) == (5, 0)\n")

    code, output = toy.run()

    assert code == 0, output
    constants = [v for v in toy.result()["verdicts"] if v["function"] is None]
    assert [verdict["by"] for verdict in constants] == [
        "trials/test_price.py::test_that_does_not"
    ] * 2


def test_tests_that_fail_without_a_mistake_notice_nothing(toy: Toy) -> None:
    toy.write("trials/test_price.py", TESTS + "    assert discount(2) == 1\n")

    code, output = toy.run("--files", "shop/price.py")

    assert code == 1, output
    assert "1 did not pass" in output
    assert {v["by"] for v in toy.result()["verdicts"] if v["function"] == "discount"} == {""}


def test_what_is_listed_as_equivalent_is_not_tried(toy: Toy) -> None:
    entry = 'file = "shop/price.py"\nbefore = "if count > 10:"\nafter = "if count >= 10:"\n'
    reason = 'reason = "nobody orders exactly ten pieces"\n'
    toy.write("equivalent.toml", f"[[equivalent]]\n{entry}{reason}")

    toy.run()

    kinds = [v["kind"] for v in toy.result()["verdicts"] if v["line"] == 6]
    assert kinds
    assert "core/ReplaceComparisonOperator_Gt_GtE" not in kinds


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "SIGKILL"])
def test_nothing_outlives_a_run_that_is_ended(
    toy: Toy, number: signal.Signals, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    toy.write("trials/test_slow.py", SLOW.format(told=str(told)))
    os.mkfifo(told)
    process = toy.start()
    told.read_text()  # once the test has begun
    family = psutil.Process(process.pid).children(recursive=True)
    programs = [one for one in family if one.name() == "sleep"]
    assert len(family) > len(programs)

    process.send_signal(number)
    process.communicate()

    # A test's own programs are the suite's watchdog's business, which a toy has not.
    own = [one for one in family if one not in programs]
    psutil.wait_procs(own)
    for program in programs:
        with suppress(psutil.NoSuchProcess):
            program.kill()
    before = toy.files()
    (toy.root / "trials/test_slow.py").unlink()
    code, output = toy.run("--goal", "50")
    assert code == 0, output
    assert list(toy.temporary.iterdir()) == []
    assert toy.files().items() <= before.items()
