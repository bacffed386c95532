"""`orc completion`: scripts that complete commands and options themselves, and call `orc` only for names."""

import argparse
import re
from collections.abc import Callable, Iterator

from orca.cli.command import Command, Invocation
from orca.cli.parser import load, make_parser
from orca.cli.tree import ENTRIES, Entry

_NAMED = {"service": ("-s", "--service"), "project": ("-p", "--project")}
"""Options whose values are names on the server."""
_PROJECTS = frozenset({"projects delete"})
"""Commands with the name of a project as an argument."""


_BASH = """\
# bash completion for orc: source this file, or put it into /etc/bash_completion.d
_orc() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" line="" words="" word index
  [[ "$previous" == "=" ]] && previous="${COMP_WORDS[COMP_CWORD-2]}"
  case "$previous" in
@values@
    *) previous="" ;;
  esac
  if [[ -n "$previous" ]]; then
    COMPREPLY=($(compgen -W "$words" -- "${current#=}"))
    return
  fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="${COMP_WORDS[index]}"
    case "$word" in
      @taking@)
        index=$((index + 1))
        [[ "${COMP_WORDS[index]}" == "=" ]] && index=$((index + 1))
        continue ;;
      -*) continue ;;
    esac
    case "$line" in
      "") line="$word" ;;
      @nouns@) line="$line $word" ;;
    esac
  done
  case "$line" in
@cases@
  esac
  [[ "$current" != -* ]] && case "$line" in
@positions@
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ ${#COMPREPLY[@]} -eq 0 ] && compopt -o default 2>/dev/null
}
complete -F _orc orc
"""
"""The script for bash; `@…@` are filled in."""


def print_script(call: Invocation) -> None:
    """Print the script, generated from the commands of this version."""
    call.output.out.write(_RENDERERS[call.args.shell]())


def _words() -> Iterator[tuple[str, list[str]]]:
    """Return each partial command line, and the words that can follow it."""
    yield "", [*ENTRIES, "help"]
    for entry in ENTRIES.values():
        if entry.verbs:
            yield entry.name, list(entry.verbs)
        for verb in entry.verbs or [None]:
            yield f"{entry.name} {verb}" if verb else entry.name, _options(entry, verb)


def _options(entry: Entry, verb: str | None) -> list[str]:
    parser = make_parser(entry, verb, load(entry, verb))
    found = ["--help", *(option for option in parser.options if option.startswith("--"))]
    return found + [str(choice) for word in parser.words for choice in word.choices or ()]


def _position(entry: Entry, verb: str | None) -> str | None:
    """Return whose name follows the command: of a service, or of a project."""
    if f"{entry.name} {verb}" in _PROJECTS:
        return "project"
    return "service" if make_parser(entry, verb, load(entry, verb)).takes_service else None


def _positions() -> Iterator[tuple[str, str]]:
    for entry in ENTRIES.values():
        for verb in entry.verbs or [None]:
            if what := _position(entry, verb):
                yield f"{entry.name} {verb}" if verb else entry.name, what


def _asked(what: str) -> str:
    return f'"$("${{COMP_WORDS[0]}}" __complete {what} "${{COMP_WORDS[@]}}" 2>/dev/null)"'


def _bash() -> str:
    cases = "\n".join(f'    "{line}") words="{" ".join(words)}" ;;' for line, words in _words())
    nouns = "|".join(entry.name for entry in ENTRIES.values() if entry.verbs)
    values = "\n".join(f"    {'|'.join(options)}) words={_asked(what)} ;;" for what, options in _NAMED.items())
    lines: dict[str, list[str]] = {}
    for line, what in _positions():
        lines.setdefault(what, []).append(f'"{line}"')
    positions = "\n".join(f'    {"|".join(known)}) words+=" "{_asked(what)} ;;' for what, known in lines.items())
    taking = "|".join(option for options in (*_NAMED.values(), ("--server",)) for option in options)
    filled = {"values": values, "taking": taking, "nouns": nouns, "cases": cases, "positions": positions}
    return re.sub(r"@(\w+)@", lambda found: filled[found[1]], _BASH)


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
            lines += _fish_options(f"{seen}; and __fish_seen_subcommand_from {verb}", entry, verb)
        if not entry.verbs:
            lines += _fish_options(seen, entry, None)
    return "\n".join(lines) + "\n"


def _fish_options(condition: str, entry: Entry, verb: str | None) -> list[str]:
    found = [_fish_option(option) for option in _options(entry, verb)]
    if what := _position(entry, verb):
        found.append(f"-f -a {_quote(_fish_names(what))}")
    return [f"complete -c orc -n {_quote(condition)} {option}" for option in found]


def _fish_names(what: str) -> str:
    return f"(orc __complete {what} (commandline -opc) 2>/dev/null)"


def _fish_option(option: str) -> str:
    for what, (short, long) in _NAMED.items():
        if option == long:
            return f"-l {long[2:]} -s {short[1:]} -x -a {_quote(_fish_names(what))}"
    return f"-l {option[2:]}" if option.startswith("--") else f"-f -a {option}"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_RENDERERS: dict[str, Callable[[], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(_RENDERERS), help="which shell")


COMMANDS = {
    "completion": Command(
        print_script, "source <(orc completion bash)\norc completion fish > ~/.config/fish/completions/orc.fish",
        scope="machine", arguments=_arguments,
        details=(
            "Commands and options are in the script. Names of services and projects are asked of the server that a\n"
            "command would talk to; when it does not answer within a second, none are offered."
        ),
    )
}  # fmt: skip
