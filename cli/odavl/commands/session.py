"""What every command shares: how to speak, the configuration, and the way to the hub.

Everything that costs time to import is imported by the property that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import click

from odavl.commands.terminal import printable

if TYPE_CHECKING:
    from pathlib import Path

    from odavl.commands.access import Access
    from odavl.hub.credentials import Credentials
    from odavl.hub.retry import RetryPolicy
    from odavl.hub.transport import HubClient
    from odavl.hub.uploads import Destination
    from odavl.project.config import Settings

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., object])


class Session:
    """One run of the command line. ``start`` is the folder or file that the command is about."""

    def __init__(self) -> None:
        self.verbose = False
        self.quiet = False
        self.json = False
        self.start: str | Path = "."
        self.flags: dict[str, object] = {}
        self.contact: HubClient | None = None
        """The client after whose success what is queued goes out."""
        self.has_new_rights = False
        """Whether what is held because of credentials is worth another try."""
        self.has_uploaded = False

    @property
    def reached_hub(self) -> bool:
        """Whether the hub took something, so that what is queued may follow."""
        return self.has_uploaded or (self.contact is not None and self.contact.answered)

    def note_upload(self, *, success: bool) -> None:
        """An upload was tried: where the hub took it, it takes what was held before, too."""
        if success:
            self.has_uploaded = self.has_new_rights = True

    @property
    def talks(self) -> bool:
        """Whether talk is wanted: not with ``-q``."""
        return not self.quiet

    def say(self, text: str) -> None:
        """Talk, on standard error; silent with ``-q``."""
        if self.talks:
            click.echo(printable(text, lines=True), err=True)

    def warn(self, text: str) -> None:
        """What must be known, also with ``-q``."""
        click.echo(printable(text, lines=True), err=True)

    def show(self, text: str) -> None:
        """Data for a person, on standard output. The caller made foreign text printable."""
        click.echo(text)

    def emit(self, document: object) -> None:
        """Data for a machine, on standard output; ASCII, so that no terminal is deceived."""
        import json

        click.echo(json.dumps(document, indent=2))

    @cached_property
    def home(self) -> Path:
        from odavl.project.root import home_folder

        return home_folder()

    @cached_property
    def root(self) -> Path:
        from pathlib import Path

        from odavl.project.root import project_root

        return project_root(Path(self.start), self.home)

    @cached_property
    def settings(self) -> Settings:
        from odavl.project.config import load_settings

        return load_settings(self.root, self.home, flags=self.flags)

    @cached_property
    def credentials(self) -> Credentials:
        from odavl.hub.credentials import Credentials

        return Credentials(self.home)

    @cached_property
    def address(self) -> str:
        """The hub's address: configured, else the one last signed in to, else the local one."""
        from odavl.commands.access import DEFAULT_ADDRESS

        return self.known_address or DEFAULT_ADDRESS

    @cached_property
    def known_address(self) -> str | None:
        """As :attr:`address`, None where nothing names a hub."""
        from odavl.commands.access import known_address

        return known_address(self.settings, self.credentials)

    @cached_property
    def access(self) -> Access:
        """The key that goes to :attr:`address`; what was decided against is told, once."""
        from odavl.commands.access import access

        found = access(self.settings, self.credentials)
        if found.withheld:
            self.warn(found.withheld)
        return found

    def check_that_a_key_may_be_typed(self) -> None:
        """Raises :class:`NotAuthenticated` for a new key where only a project names the hub."""
        from odavl.commands.access import is_only_the_projects, not_signed_in

        is_foreign = is_only_the_projects(self.settings, self.credentials)
        if is_foreign and self.address not in self.credentials.load().hubs:
            raise not_signed_in(self.settings, self.address)

    def client(self, *, policy: RetryPolicy | None = None, leaves_queue: bool = False) -> HubClient:
        """A client that speaks for the person. Raises :class:`NotAuthenticated` without a key.

        With ``leaves_queue`` nothing that is queued goes out after it.
        """
        from odavl.hub.transport import HubClient
        from odavl.wire.errors import NotAuthenticated

        if self.access.refusal is not None:
            raise self.access.refusal
        if self.access.token is None:
            raise NotAuthenticated(
                f"Nobody is signed in to {self.address}.", hint="Run: odavl login --token -"
            )
        client = HubClient(
            self.address,
            token=self.access.token,
            organization_id=self.access.organization_id,
            policy=policy,
            timeout=self.settings.timeout,
        )
        self.contact = None if leaves_queue else client
        return client

    def destination(self) -> Destination:
        """Where uploads go. Raises :class:`NotAuthenticated` where nothing may go."""
        from odavl.hub.uploads import Destination

        if self.access.refusal is not None:
            raise self.access.refusal
        return Destination(
            address=self.address,
            token=self.access.token,
            organization_id=self.access.organization_id,
            project_id=self.access.project_id,
            home=self.home,
            timeout=self.settings.timeout,
        )


pass_session = click.make_pass_decorator(Session)


def output_options(function: AnyFunction) -> AnyFunction:
    """``-q``, ``-v`` and ``--json``, before or after the command's name."""
    function = _flag("json", "--json", about="Print the result as JSON.")(function)
    function = _flag("verbose", "-v", "--verbose", about="Say more; show tracebacks.")(function)
    return _flag("quiet", "-q", "--quiet", about="Say only what must be known.")(function)


def hub_options(function: AnyFunction) -> AnyFunction:
    """``--hub`` and ``--organization``."""
    function = _setting(
        "organization_id", "--organization", metavar="ID", about="Act in this organization."
    )(function)
    return _setting("cloud_api", "--hub", "--cloud-api", metavar="URL", about="The hub's address.")(
        function
    )


def _flag(attribute: str, *names: str, about: str) -> Callable[[AnyFunction], AnyFunction]:
    def note(ctx: click.Context, _param: click.Parameter, value: object) -> None:
        if value:
            setattr(ctx.ensure_object(Session), attribute, True)

    return click.option(
        *names, is_flag=True, expose_value=False, is_eager=True, callback=note, help=about
    )


def _setting(
    key: str,
    *names: str,
    metavar: str,
    about: str,
) -> Callable[[AnyFunction], AnyFunction]:
    def note(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.ensure_object(Session).flags[key] = value

    return click.option(*names, expose_value=False, callback=note, metavar=metavar, help=about)
