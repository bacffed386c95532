"""`orc completion`: scripts that complete commands and options without starting `orc` at each key."""

import argparse
from collections.abc import Callable, Iterator

from orca.cli.command import Command, Invocation
from orca.cli.parser import load, make_parser
from orca.cli.tree import ENTRIES, Entry


def print_script(call: Invocation) -> None:
    """Made from the commands of this version."""
    call.output.out.write(_RENDERERS[call.args.shell]())


def _words() -> Iterator[tuple[str, list[str]]]:
    """Each command line so far, and what can follow it."""
    yield "", [*ENTRIES, "help"]
    for entry in ENTRIES.values():
        if entry.verbs:
            yield entry.name, list(entry.verbs)
        for verb in entry.verbs or [None]:
            yield f"{entry.name} {verb}" if verb else entry.name, _options(entry, verb)


def _options(entry: Entry, verb: str | None) -> list[str]:
    parser = make_parser(entry, verb, load(entry, verb))
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        found += [option for option in action.option_strings if option.startswith("--")]
        if not action.option_strings and action.choices:
            found += [str(each) for each in action.choices]
    return found


def _bash() -> str:
    cases = "\n".join(f'    "{line}") words="{" ".join(words)}" ;;' for line, words in _words())
    nouns = "|".join(entry.name for entry in ENTRIES.values() if entry.verbs)
    return f"""\
# bash completion for orc: source this file, or put it into /etc/bash_completion.d
_orc() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" line="" words="" word index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="${{COMP_WORDS[index]}}"
    [[ "$word" == -* ]] && continue
    case "$line" in
      "") line="$word" ;;
      {nouns}) line="$line $word" ;;
    esac
  done
  case "$line" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ ${{#COMPREPLY[@]}} -eq 0 ] && compopt -o default
}}
complete -F _orc orc
"""


def _zsh() -> str:
    return f"""\
#compdef orc
# zsh completion for orc: put this file as _orc into a folder of $fpath, or source it after compinit
autoload -U +X bashcompinit && bashcompinit
{_bash()}"""


def _fish() -> str:
    lines = ["# fish completion for orc: put this file into ~/.config/fish/completions/orc.fish"]
    lines += [
        f"complete -c orc -n __fish_use_subcommand -f -a {entry.name} -d {_quote(entry.summary)}"
        for entry in ENTRIES.values()
    ]
    for entry in ENTRIES.values():
        seen = f"__fish_seen_subcommand_from {entry.name}"
        unsaid = f"{seen}; and not __fish_seen_subcommand_from {' '.join(entry.verbs)}"
        for verb, summary in entry.verbs.items():
            lines.append(f"complete -c orc -n {_quote(unsaid)} -f -a {verb} -d {_quote(summary)}")
            lines += _fish_options(f"{seen}; and __fish_seen_subcommand_from {verb}", _options(entry, verb))
        if not entry.verbs:
            lines += _fish_options(seen, _options(entry, None))
    return "\n".join(lines) + "\n"


def _fish_options(condition: str, options: list[str]) -> list[str]:
    return [
        f"complete -c orc -n {_quote(condition)} " + (f"-l {each[2:]}" if each.startswith("--") else f"-f -a {each}")
        for each in options
    ]


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_RENDERERS: dict[str, Callable[[], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(_RENDERERS), help="which shell")


COMMANDS = {
    "completion": Command(
        print_script, "source <(orc completion bash)\norc completion fish > ~/.config/fish/completions/orc.fish",
        scope="machine", arguments=_arguments,
    )
}  # fmt: skip
