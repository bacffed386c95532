"""Flags for the options of a service's containers, which the API calls `runtime`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orca.cli.command import whole_number
from orca.cli.failures import REFUSED, CommandFailed, UsageError

Fields = dict[str, Any]
_DEFAULTS = [("init", True), ("read_only", False), ("host_network", False)]


def runtime_from(args: argparse.Namespace, stored: Fields) -> Fields:
    """Return the options that have a flag. Of a flag that can be repeated all are given anew; one empty value: none.

    Files are the exception: those without a flag stay.
    """
    said = {
        "working_directory": args.working_directory, "hostname": args.hostname, "read_only": args.read_only,
        "shm_mb": args.shm, "stop_signal": args.stop_signal, "init": args.init,
        "tmpfs": _entries("--tmpfs", args.tmpfs, int), "ulimits": _entries("--ulimit", args.ulimit, int),
        "extra_hosts": _entries("--extra-host", args.extra_host, str),
        "cap_drop": None if args.cap_drop is None else [_capability(given) for given in args.cap_drop if given],
        "cap_add": None if args.cap_add is None else [_capability(given) for given in args.cap_add if given],
        "devices": None if args.device is None else [path for path in args.device if path],
        "networks": _entries("--network", args.network and [_with_sign(text) for text in args.network], _words),
        "published": None if args.publish is None else [port for port in args.publish if port],
        "host_network": args.host_network,
        "host_folders": _entries("--host-folder", args.host_folder, str),
        "sysctls": _entries("--sysctl", args.sysctl, str), "files": _files(args, stored.get("files", {})),
    }  # fmt: skip
    return {name: value for name, value in said.items() if value is not None}


def describe_runtime(runtime: Fields) -> str:
    """Describe the options that are not the defaults, in one line; empty when there are none."""
    parts = [
        f"{name.replace('_', ' ')} {_shown(list(value) if name == 'files' else value)}"
        for name, value in runtime.items()
        if value not in ("", None, {}, []) and (name, value) not in _DEFAULTS
    ]
    return "; ".join(parts)


def _files(args: argparse.Namespace, stored: Fields) -> Fields | None:
    plain = _entries("--file", args.file, _read_text) or {}
    secret = _entries("--secret-file", args.secret_file, str) or {}
    if not (plain or secret or args.remove_file):
        return None
    missing = [path for path in args.remove_file or () if path not in stored]
    if missing:
        raise UsageError(f"--remove-file: there is no file {missing[0]}", hint="`orc services show` lists them.")
    given = {path: {"content": text} for path, text in plain.items()}
    given |= {path: {"secret": key} for path, key in secret.items()}
    kept = {path: file for path, file in stored.items() if path not in (args.remove_file or ())}
    return kept | {path: {**file, "mode": kept.get(path, {}).get("mode", "")} for path, file in given.items()}


def _with_sign(text: str) -> str:
    return text if "=" in text or not text else f"{text}="


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _read_text(path: str) -> str:
    try:
        return Path(path).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read as text: {error}", code=REFUSED) from None


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_shown(entry)}".removesuffix("=") for key, entry in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value) if isinstance(value, list) else str(value)


def _entries(flag: str, texts: list[str] | None, read: Callable[[str], object]) -> Fields | None:
    if texts is None:
        return None
    found: Fields = {}
    for text in filter(None, texts):
        key, sign, value = text.partition("=")
        wrong = UsageError(f"{flag}: {text} is not NAME=VALUE", hint=f"`orc services edit --help` explains {flag}.")
        if not (key and sign):
            raise wrong
        try:
            found[key] = read(value)
        except ValueError:
            raise wrong from None
    return found


def _capability(text: str) -> str:
    return text.upper().removeprefix("CAP_")


def container_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags for what some images need of their containers."""
    options = parser.add_argument_group(
        "its containers",
        'flags that can be repeated replace what is stored as a whole, but for files; "" alone clears them',
    )
    add = options.add_argument
    add("--working-directory", metavar="PATH", help="where the process starts; empty: as the image says")
    add("--hostname", metavar="NAME", help="name that the container has for itself")
    add("--read-only", action=argparse.BooleanOptionalAction, help="whether the root of the file system is read-only")
    add("--tmpfs", action="append", metavar="PATH=MIB", help="a folder in memory; can be repeated")
    add("--shm", type=whole_number, metavar="MIB", help="size of /dev/shm")
    add("--ulimit", action="append", metavar="NAME=N", help="limit of a process; -1: none; can be repeated")
    add("--stop-signal", metavar="SIGNAL", help="what asks the process to end, such as SIGINT")
    add("--init", action=argparse.BooleanOptionalAction, help="whether a small process 1 reaps zombies")
    add("--extra-host", action="append", metavar="NAME=ADDRESS", help="a further hostname; can be repeated")
    add("--file", action="append", metavar="PATH=FILE", help="a text file of yours at a path; can be repeated")
    add("--secret-file", action="append", metavar="PATH=KEY", help="a secret variable as a file; can be repeated")
    add("--remove-file", action="append", metavar="PATH", help="a file to take out; can be repeated")
    add("--cap-drop", action="append", metavar="NAME", help="a capability to take away, or ALL; can be repeated")
    add(
        "--network", action="append", metavar="NAME=ALIAS", help="a further network of its environment; can be repeated"
    )
    beyond = parser.add_argument_group("beyond its containers", "each needs a privilege: `orc services grant`")
    beyond.add_argument("--cap-add", action="append", metavar="NAME", help="a further capability; can be repeated")
    beyond.add_argument("--device", action="append", metavar="PATH", help="a device of the machine; can be repeated")
    beyond.add_argument(
        "--publish",
        action="append",
        metavar="HOST:PORT",
        help="a port of the machine, such as 53:5353/udp; can be repeated",
    )
    beyond.add_argument(
        "--host-network", action=argparse.BooleanOptionalAction, help="whether it uses the network of the machine"
    )
    beyond.add_argument(
        "--host-folder",
        action="append",
        metavar="PATH=FOLDER",
        help="a folder of the machine, with :ro to be read only; can be repeated",
    )
    beyond.add_argument("--sysctl", action="append", metavar="NAME=VALUE", help="a kernel parameter; can be repeated")
