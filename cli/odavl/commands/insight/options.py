"""The options that ``analyze`` and ``import`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from odavl.wire.analysis import SEVERITIES

FORMATS = ("text", "json", "sarif")
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., object])


def outcome_options(function: AnyFunction) -> AnyFunction:
    """How the results are shown, where they go and what they mean for the exit code."""
    for option in reversed(
        (
            click.option(
                "--format",
                "format_name",
                type=click.Choice(FORMATS),
                default="text",
                show_default=True,
                help="How to print the results.",
            ),
            click.option(
                "--output",
                type=click.Path(dir_okay=False),
                metavar="FILE",
                help="Print the results into this file.",
            ),
            click.option(
                "--upload/--no-upload",
                "--cloud/--no-cloud",
                "upload",
                default=None,
                help="Send the results to the hub, where issues are tracked from run to run.",
            ),
            click.option(
                "--wait/--no-wait",
                default=True,
                help="Wait until the hub has taken a large upload in (the default), or not.",
            ),
            click.option("--project", metavar="NAME", help="The project's name on the hub."),
            click.option("--branch", metavar="NAME", help="Instead of what Git and CI tell."),
            click.option(
                "--fail-on",
                type=click.Choice(SEVERITIES),
                help="Exit with 1 for findings this severe or more.",
            ),
        )
    ):
        function = option(function)
    return function
