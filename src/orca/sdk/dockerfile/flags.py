"""Flags of an instruction: parsed as by BuildKit, or refused. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PLAIN = re.compile(r"[!-~]")
_NAME = re.compile(r"--(?P<name>[a-z-]+)(?P<is>=)?")
_KNOWN = {
    "FROM": {"platform"},
    "COPY": {"from", "chown", "chmod", "link", "parents", "exclude"},
    "ADD": {"chown", "chmod", "link", "keep-git-dir", "checksum", "unpack", "exclude"},
    "RUN": {"mount", "network", "security", "device"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
}
_SWITCHES = {"link", "parents", "keep-git-dir", "unpack"}
_REPEATED = {"mount", "exclude", "device"}
_GRANTED = {"network": {"default", "none"}, "security": {"sandbox"}}
_MOUNT_KEY = re.compile(r"[a-z-]+")


class BadFlag(ValueError):
    """An invalid flag; the message is shown after the line number."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag, without the quotes it was written with."""

    name: str
    value: str

    def __str__(self) -> str:
        if not any(char in self.value for char in " \t\"'"):
            return f"--{self.name}={self.value}"
        quoted = self.value.replace('"', '\\"')
        return f'--{self.name}="{quoted}"'


def split_flags(keyword: str, text: str) -> tuple[tuple[Flag, ...], str]:
    """Return flags and the rest. Raises BadFlag for unknown flags, and for those that engines parse differently."""
    flags: list[Flag] = []
    text = text.lstrip(" \t")
    while text.startswith("--"):
        word, text = _cut_word(text)
        flags.append(_read_flag(keyword, word))
    if text != text.lstrip() or (flags and text.lstrip().startswith("--")):
        raise BadFlag("there is an odd blank before its arguments")
    _check_once(flags)
    return tuple(flags), text


def _cut_word(text: str) -> tuple[str, str]:
    """Return the first word without its quotes, and the rest."""
    word: list[str] = []
    quote = ""
    for at, char in enumerate(text):
        if not quote and char in " \t":
            return "".join(word), text[at:].lstrip(" \t")
        if char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        elif char == "\\" or not (_PLAIN.match(char) or char in " \t"):
            raise BadFlag("a flag has an escape or an odd character; write it plainly")
        else:
            word.append(char)
    if quote:
        raise BadFlag("a quote in a flag is not closed")
    return "".join(word), ""


def _read_flag(keyword: str, word: str) -> Flag:
    match = _NAME.match(word)
    name = match["name"] if match else ""
    if match is None or name not in _KNOWN.get(keyword, set()) or (match["is"] is None and match[0] != word):
        raise BadFlag(f"{keyword} has no flag {word[:80]!r}")
    value = word[match.end() :]
    if match["is"] is None and name in _SWITCHES:
        value = "true"
    elif not value:
        raise BadFlag(f"the flag --{name} has no value; write --{name}=VALUE")
    if name in _GRANTED and value not in _GRANTED[name]:
        raise BadFlag(f"no build may have --{name}={value[:40]}")
    return Flag(name, value)


def _check_once(flags: Iterable[Flag]) -> None:
    seen: set[str] = set()
    for flag in flags:
        if flag.name in seen and flag.name not in _REPEATED:
            raise BadFlag(f"the flag --{flag.name} is there twice")
        seen.add(flag.name)


def origin_of(flag: Flag) -> str | None:
    """Return the stage or image that a flag takes files from. Raises BadFlag for an ambiguous mount."""
    if flag.name == "from":
        return flag.value
    if flag.name != "mount":
        return None
    if '"' in flag.value:
        raise BadFlag("there are quotes inside of --mount; write it plainly")
    found = None
    for field in flag.value.split(","):
        key, _, value = field.partition("=")
        if not _MOUNT_KEY.fullmatch(key.lower()) or not key.isascii():
            raise BadFlag(f"--mount has no option {key[:40]!r}")
        if key.lower() == "from":
            if found is not None:
                raise BadFlag("--mount has two from=")
            found = value
    return found


def with_origin(flag: Flag, origin: str) -> Flag:
    """Return the flag with another stage or image to take files from."""
    if flag.name == "from":
        return Flag("from", origin)
    fields = (field.partition("=") for field in flag.value.split(","))
    return Flag(
        "mount", ",".join(f"from={origin}" if key.lower() == "from" else key + eq + value for key, eq, value in fields)
    )
