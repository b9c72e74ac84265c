"""completion: scripts that let bash, zsh and fish complete words, and what answers them."""

from __future__ import annotations

import os
import re
from typing import ClassVar

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from addp_bench.cli import COMPLETING

# Each script hands over the line up to the cursor, and gets lines of type, word and help. Complaints go nowhere: they
# would stand in the middle of what is being typed.
_BASH = """\
# bash completion of addp-bench. Keep it where bash-completion looks:
#   addp-bench completion bash > ~/.local/share/bash-completion/completions/addp-bench
# or, without bash-completion, source such a file in ~/.bashrc.
_addp_bench_completion() {
    local kind word help
    COMPREPLY=()
    while IFS=$'\\t' read -r kind word help; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            part) compopt -o nospace; COMPREPLY+=("$word") ;;
            plain) COMPREPLY+=("$word") ;;
        esac
    done < <(env _ADDP_BENCH_COMPLETE=bash COMP_LINE="${COMP_LINE:0:COMP_POINT}" \\
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
}
complete -o nosort -F _addp_bench_completion addp-bench
"""
_ZSH = """\
#compdef addp-bench
# zsh completion of addp-bench. Keep it in a folder of $fpath, before compinit is called:
#   addp-bench completion zsh > ~/.zfunc/_addp-bench
_addp-bench() {
    local kind word help
    local -a whole part
    while IFS=$'\\t' read -r kind word help; do
        case $kind in
            dir) _path_files -/ ;;
            file) _path_files ;;
            part) part+=("${word//:/\\\\:}${help:+:$help}") ;;
            plain) whole+=("${word//:/\\\\:}${help:+:$help}") ;;
        esac
    done < <(env _ADDP_BENCH_COMPLETE=zsh COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" "$words[1]" 2>/dev/null)
    (( $#whole )) && _describe -V 'addp-bench' whole
    (( $#part )) && _describe -V 'addp-bench' part -S ''
}
if [[ $funcstack[1] == _addp-bench ]]; then
    _addp-bench "$@"
else
    compdef _addp-bench addp-bench
fi
"""
_FISH = """\
# fish completion of addp-bench. Keep it where fish looks:
#   addp-bench completion fish > ~/.config/fish/completions/addp-bench.fish
function _addp_bench_completion
    set -l program (commandline -po)[1]
    for answer in (env _ADDP_BENCH_COMPLETE=fish COMP_LINE=(commandline -cp) $program 2>/dev/null)
        set -l said (string split -m 2 \\t -- $answer)
        switch $said[1]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
            case '*'
                printf '%s\\t%s\\n' $said[2] $said[3]
        end
    end
end
complete --command addp-bench --no-files --arguments '(_addp_bench_completion)'
"""


class _Words(ShellComplete):
    """Answers to a line up to the cursor, word by word as a program would get them."""

    source_template: ClassVar[str]

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        *words, last = split_arg_string(f"{line}.")  # the dot tells a word that was begun from one that was not
        return words[1:], last[:-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Whole words: `--weights=per` is one, and so is what it becomes."""
        option = f"{incomplete.partition('=')[0]}=" if re.match(r"--[\w-]+=", incomplete) else ""
        items = super().get_completions(args, incomplete)
        return [CompletionItem(f"{option}{item.value}", item.type, item.help) for item in items]

    def format_completion(self, item: CompletionItem[str]) -> str:
        return f"{item.type}\t{item.value}\t{' '.join((item.help or '').split())}"


class _Bash(_Words):
    name = "bash"
    source_template = _BASH

    def complete(self) -> str:
        """For bash a word begins anew after each of COMP_WORDBREAKS, `:` and `=` among them, unless it is quoted."""
        args, incomplete = self.get_completion_args()
        quoted = re.search(r"""\s(['"])(?:(?!\1).)*$""", os.environ.get("COMP_LINE", ""))
        breaks = "" if quoted else "".join(c for c in os.environ.get("COMP_WORDBREAKS", ":=") if c in ":=")
        known = max((incomplete.rfind(c) for c in breaks), default=-1) + 1
        told = []
        for item in self.get_completions(args, incomplete):
            rest = item.value[known:]
            told.append(CompletionItem(rest if quoted else _escaped(rest), item.type))
        return "\n".join(self.format_completion(item) for item in told)


class _Zsh(_Words):
    name = "zsh"
    source_template = _ZSH


class _Fish(_Words):
    name = "fish"
    source_template = _FISH


_SHELLS: dict[str, type[_Words]] = {shell.name: shell for shell in (_Bash, _Zsh, _Fish)}


def _escaped(word: str) -> str:
    return re.sub(r"([^\w@%+=:,./~-])", r"\\\1", word)


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
def completion(shell: str) -> None:
    """Print a script that lets a shell complete commands, options, plugin names and what stands behind their colons.

    Its first lines say where to keep it. Nothing is written.

    \b
    Examples:
      addp-bench completion bash > ~/.local/share/bash-completion/completions/addp-bench
      addp-bench completion zsh > ~/.zfunc/_addp-bench
      addp-bench completion fish > ~/.config/fish/completions/addp-bench.fish
    """
    click.echo(_SHELLS[shell].source_template, nl=False)


def answer(commands: click.Group, shell: str) -> None:
    """Answer the script that asks: a line of type, word and help for each word that may stand at the cursor."""
    click.echo(_SHELLS[shell](commands, {}, "addp-bench", COMPLETING).complete())
