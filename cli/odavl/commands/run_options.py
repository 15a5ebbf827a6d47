"""The options that ``autopilot upload`` and ``guardian upload`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from odavl.wire.envelope import UPLOAD_TYPES, Product

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., object])


def run_upload_options(product: Product) -> Callable[[AnyFunction], AnyFunction]:
    """Which files, as what, and into which project."""
    options = (
        click.option("--all", "every", is_flag=True, help="Every run there is, oldest first."),
        click.option("--run", "run_id", metavar="ID", help="The run it is, or FILE belongs to."),
        click.option(
            "--type",
            "upload_type",
            type=click.Choice(UPLOAD_TYPES[product]),
            help="What FILE is, where its name does not say so.",
        ),
        click.option(
            "--project",
            "--project-name",
            "project",
            metavar="NAME",
            help="The project's name on the hub.",
        ),
        click.option(
            "--wait/--no-wait",
            default=True,
            help="Wait until the hub has taken a large upload in (the default), or not.",
        ),
    )

    def decorate(function: AnyFunction) -> AnyFunction:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
