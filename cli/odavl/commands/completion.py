"""``odavl completion``."""

from __future__ import annotations

import click

VARIABLE = "_ODAVL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
    bash: eval "$(odavl completion bash)"    in ~/.bashrc
    zsh:  eval "$(odavl completion zsh)"     in ~/.zshrc
    fish: odavl completion fish | source     in ~/.config/fish/config.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.BadParameter(f"There is no completion for {shell}.")
    command = context.find_root().command
    # ShellComplete's own source(): bash's looks for a bash to ask for its version, needlessly here.
    click.echo(ShellComplete.source(found(command, {}, "odavl", VARIABLE)))
