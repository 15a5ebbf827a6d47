"""The detectors there are, in the order in which reports name them."""

from __future__ import annotations

from odavl.engines.insight.detectors.bandit import Bandit
from odavl.engines.insight.detectors.basedpyright import Basedpyright
from odavl.engines.insight.detectors.detect_secrets import DetectSecrets
from odavl.engines.insight.detectors.eslint import Eslint
from odavl.engines.insight.detectors.interface import Detector
from odavl.engines.insight.detectors.mypy import Mypy
from odavl.engines.insight.detectors.ruff import Ruff
from odavl.engines.insight.detectors.vulture import Vulture

DETECTORS: tuple[Detector, ...] = (
    Ruff(),
    Bandit(),
    Basedpyright(),
    Mypy(),
    DetectSecrets(),
    Vulture(),
    Eslint(),
)
