"""`netusage completion`: the completion scripts of four shells, and the answers to them."""

import json
import os
from typing import Any, ClassVar

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
)

from netusage.cli.context import Invocation, pass_invocation
from netusage.cli.failures import COMPLETION_VARIABLE, PROGRAM
from netusage.cli.options import command as make_command
from netusage.cli.options import file_option
from netusage.errors import ExitCode, NetusageError

SHELLS = ("bash", "zsh", "fish", "powershell")

# Windows PowerShell 5.1 and PowerShell 7. The words go one per line, because a Windows path is full of backslashes
# that a shell-like split would eat; each answer is one line of JSON.
_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text })
    $env:COMP_WORDS = $words -join "`n"
    $env:COMP_INCOMPLETE = $wordToComplete
    $env:%(complete_var)s = 'powershell_complete'
    try {
        $answers = @(& %(prog_name)s 2>$null)
    } finally {
        Remove-Item Env:COMP_WORDS, Env:COMP_INCOMPLETE, Env:%(complete_var)s -ErrorAction SilentlyContinue
    }
    foreach ($answer in $answers) {
        $item = ConvertFrom-Json $answer
        if ($item.type -eq 'plain') {
            [System.Management.Automation.CompletionResult]::new($item.value, $item.value, 'ParameterValue', $item.help)
        } else {
            Get-ChildItem -Path "$wordToComplete*" -Directory:($item.type -eq 'dir') -ErrorAction SilentlyContinue |
                ForEach-Object {
                    [System.Management.Automation.CompletionResult]::new($_.FullName, $_.Name, 'ProviderItem', $_.FullName)
                }
        }
    }
}
"""


class PowerShellComplete(ShellComplete):
    """Completion for PowerShell through click's protocol."""

    name: ClassVar[str] = "powershell"
    source_template: ClassVar[str] = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """The finished words after the program's name, and the one that is being typed."""
        words = os.environ.get("COMP_WORDS", "").split("\n")
        incomplete = os.environ.get("COMP_INCOMPLETE", "")
        return [_unquoted(word) for word in words[1:]], _unquoted(incomplete)

    def format_completion(self, item: "CompletionItem[Any]") -> str:
        """One answer as one line of JSON."""
        return json.dumps({"type": item.type, "value": item.value, "help": item.help or item.value})


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def complete(cli: click.Command, instruction: str) -> int:
    """Answer a completion script; `instruction` is as in "bash_complete" or "bash_source"."""
    add_completion_class(PowerShellComplete)
    # what is wrong before the cursor completes to nothing: an error would land in the prompt
    try:
        return shell_complete(cli, {}, PROGRAM, COMPLETION_VARIABLE, instruction)
    except (click.ClickException, NetusageError):
        return ExitCode.OK


@make_command(
    "completion",
    examples=[
        ('eval "$(netusage completion bash)"', "bash: add this to ~/.bashrc"),
        ('eval "$(netusage completion zsh)"', "zsh: add this to ~/.zshrc"),
        ("netusage completion fish | source", "fish: add this to config.fish"),
        (
            "netusage completion powershell | Out-String | Invoke-Expression",
            "PowerShell: add this to $PROFILE",
        ),
    ],
)
@click.argument("shell", type=click.Choice(SHELLS))
@file_option
@pass_invocation
def command(invocation: Invocation, shell: str) -> None:
    """Print the completion script for a shell."""
    add_completion_class(PowerShellComplete)
    found = get_completion_class(shell)
    assert found is not None
    script = found.source_template % found(command, {}, PROGRAM, COMPLETION_VARIABLE).source_vars()
    with invocation.output() as out:
        out.write(script)
