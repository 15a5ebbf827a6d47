"""What the wheel of ``odavl`` brings along."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CLIENT = REPOSITORY / "cli"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and source distribution, made by the back end that is locked."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=CLIENT, check=True, capture_output=True)
    return folder


def test_the_license_comes_with_wheel_and_source(built: Path) -> None:
    text = (REPOSITORY / "LICENSE").read_bytes()
    assert (CLIENT / "LICENSE").read_bytes() == text
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(wheel.read(name).decode())
        assert metadata.get_all("License-File") == ["LICENSE"]
        assert metadata["License-Expression"] == "MIT"
        assert wheel.read(name.replace("METADATA", "licenses/LICENSE")) == text
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        (member,) = [each for each in source.getmembers() if each.name.endswith("/LICENSE")]
        file = source.extractfile(member)
        assert file is not None
        assert file.read() == text


def test_all_that_the_package_reads_is_in_the_wheel(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("odavl/")}
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "odavl"],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert packed == set(filter(None, listed.stdout.split("\0")))
