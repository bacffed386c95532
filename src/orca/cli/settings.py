"""Flags that describe a service, as the fields of the API. `--from` takes all the rest."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from orca.cli.command import Invocation, whole_number
from orca.cli.container_options import container_arguments, runtime_from
from orca.cli.failures import REFUSED, CommandFailed, UsageError
from orca.cli.selection import find_id

Fields = dict[str, Any]
_CREDENTIALS = ("/git-credentials", "/registry-credentials")


def settings_from(args: argparse.Namespace, stored: Fields) -> Fields:
    """Merge the flags into a `--from` document. Parts of `stored` without a flag are unchanged."""
    fields = _read(args.from_file) if args.from_file else {}
    single = {
        "kind": args.type, "replicas": args.replicas, "restart": args.restart, "stop_grace": args.stop_grace,
        "strategy": args.strategy, "user": args.user, "masks_secrets": args.mask_secrets,
        "name": getattr(args, "new_name", None),
    }  # fmt: skip
    fields |= {name: value for name, value in single.items() if value is not None}
    fields |= {name: _words(name, value) for name, value in _commands(args).items() if value is not None}
    if args.port:
        fields["ports"] = [_port(number, text) for number, text in enumerate(args.port)]
    _merge(fields, stored, "resources", {"cpus": args.cpus, "memory_mb": args.memory})
    _merge(fields, stored, "health", _health(args))
    _merge(fields, stored, "runtime", runtime_from(args, stored.get("runtime", {})))
    build = {"builder": args.builder, "dockerfile": args.dockerfile, "target": args.target}
    _merge(fields, stored, "build", build)
    source = _source(args, stored)
    return fields | ({"source": source} if source else {})


def _read(path: str) -> Fields:
    try:
        content = json.loads(sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{path} cannot be read as JSON: {error}", code=REFUSED) from None
    if not isinstance(content, dict):
        raise CommandFailed(f"{path} holds no JSON object", code=REFUSED)
    return content


def _commands(args: argparse.Namespace) -> dict[str, str | None]:
    return {"command": args.command, "release_command": args.release_command}


def _health(args: argparse.Namespace) -> Fields:
    """Return the parts of the health check that have a flag; a command belongs to its type, and only there."""
    kind, command = args.health_type, None
    if args.health_command is not None:
        if kind not in {None, "command"}:
            raise UsageError(f"--health-command does not go with --health-type {kind}")
        kind, command = "command", _words("health_command", args.health_command)
    elif kind not in {None, "command"}:
        command = []
    return {"path": args.health_path, "type": kind, "host": args.health_host, "command": command,
            "timeout": args.health_timeout}  # fmt: skip


def _words(name: str, text: str) -> list[str]:
    """Split a command like a shell, but without running one."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--{name.replace('_', '-')}: {error}") from None


def _port(number: int, text: str) -> Fields:
    """Parse `8000` or `9000/private`; the first port is named http."""
    port, _, access = text.partition("/")
    if not port.isdecimal() or access not in {"", "public", "private"}:
        raise UsageError(f"{text} is no port", hint="Write 8000, or 9000/private for one that gets no hostname.")
    return {"name": "http" if number == 0 else f"port-{port}", "port": int(port), "public": access != "private"}


def choose_credential(call: Invocation) -> None:
    """Let --credential name a credential, or begin its id: the settings need the whole id."""
    if call.args.credential:
        call.args.credential = find_id(
            call.client, call.args.credential, "credential", "orc credentials list", *_CREDENTIALS
        )


def _merge(fields: Fields, stored: Fields, name: str, given: Fields) -> None:
    """Merge parts of a setting into the stored one, because the API replaces a setting as a whole."""
    said = {key: value for key, value in given.items() if value is not None}
    if said:
        fields[name] = {**stored.get(name, {}), **fields.get(name, {}), **said}


def _source(args: argparse.Namespace, stored: Fields) -> Fields | None:
    if args.image is not None and args.git is not None:
        raise UsageError("--image and --git exclude each other")
    credential = {"credential_id": args.credential} if args.credential else {}
    if args.image is not None:
        return {"type": "image", "image": args.image, **credential}
    refs = {"branch": args.branch, "subdirectory": args.subdirectory, "submodules": args.submodules}
    said = {key: value for key, value in refs.items() if value is not None} | credential
    if args.git is not None:
        return {"type": "git", "repository": args.git, **said}
    if not said:
        return None
    source = stored.get("source", {})
    if source.get("type") != "git" and (args.branch or args.subdirectory or args.submodules is not None):
        raise UsageError("--branch, --subdirectory and --submodules belong to a Git source", hint="Give --git URL too.")
    merged = {**source, **said}
    return {**merged, "tag": None, "commit": None} if args.branch else merged


def edit_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for settings that can be set at creation and changed later."""
    source = parser.add_argument_group("source")
    source.add_argument("--image", metavar="REFERENCE", help="a ready image")
    source.add_argument("--git", metavar="URL", help="a Git repository")
    source.add_argument("--branch", metavar="NAME", help="its branch")
    source.add_argument("--subdirectory", metavar="PATH", help="build only this folder of it")
    source.add_argument(
        "--submodules", action=argparse.BooleanOptionalAction, help="fetch the repositories inside of it, or not"
    )
    source.add_argument("--credential", metavar="NAME", help="what lets Orca in; `orc credentials` lists them")
    build = parser.add_argument_group("build")
    build.add_argument(
        "--builder", metavar="NAME", help="how an image is made: auto, dockerfile, template, buildpacks, or a plugin's"
    )
    build.add_argument("--dockerfile", metavar="PATH", help="which Dockerfile")
    build.add_argument("--target", metavar="STAGE", help="which stage of it")
    runtime = parser.add_argument_group("what runs")
    runtime.add_argument("--type", choices=["web", "worker", "static"], help="kind of service")
    runtime.add_argument("--port", action="append", metavar="PORT", help="port, or PORT/private; can be repeated")
    runtime.add_argument("--command", metavar="WORDS", help="replaces the image's command")
    runtime.add_argument("--release-command", metavar="WORDS", help="run once before traffic moves")
    runtime.add_argument("--replicas", type=whole_number, metavar="N", help="how many run")
    runtime.add_argument("--cpus", type=float, metavar="CORES", help="CPU cores a replica may use")
    runtime.add_argument("--memory", type=whole_number, metavar="MIB", help="memory a replica may use")
    _health_arguments(runtime)
    runtime.add_argument("--user", metavar="USER", help="who the process runs as; empty: as the image says")
    runtime.add_argument(
        "--mask-secrets", action=argparse.BooleanOptionalAction, help="hide values of secrets in what containers write"
    )
    runtime.add_argument("--restart", choices=["always", "unless-stopped", "on-failure", "no"], help="when it ends")
    runtime.add_argument(
        "--strategy", choices=("auto", "rolling", "recreate"), help="start a release beside the old one, or after it"
    )
    runtime.add_argument("--stop-grace", type=float, metavar="SECONDS", help="between TERM and KILL")
    container_arguments(parser)
    every = parser.add_argument_group("all settings")
    every.add_argument("--from", dest="from_file", metavar="FILE", help="JSON object with any fields; - is stdin")


def _health_arguments(group: argparse._ArgumentGroup) -> None:
    kinds = ["auto", "http", "tcp", "command", "none"]
    group.add_argument("--health-path", metavar="PATH", help="path that answers when a release is healthy")
    group.add_argument("--health-type", choices=kinds, help="how health is checked")
    group.add_argument("--health-command", metavar="WORDS", help="run in the container: healthy when it ends with 0")
    group.add_argument("--health-timeout", type=float, metavar="SECONDS", help="how long one try may take")
    group.add_argument("--health-host", metavar="NAME", help="hostname it is asked for (default: the first one)")
