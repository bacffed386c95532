"""Whether a detection says what the label of an entry says: by program and target, not letter by letter."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.providers.builders.corpus.entries import Entry

from orca.sdk.builders import Detection, Refusal

_SEVERAL = 2
_MANAGERS = {"go modules": "go", "yarn-berry": "yarn", "gradle wrapper": "gradle", "maven wrapper": "maven"}
# Words of a label that name what an entry is like, and no framework.
_PLAIN = re.compile(
    r"^(?:plain|nothing but|Node|Go|Rust|Maven|Gradle|\.NET console|Cargo|Bun|Deno|net/http|static|http\.server)\b"
)

_PHP_ROOT = re.compile(r"a PHP web server with (?:the root folder|(\S+?)/?) as its root")


def find_misses(entry: Entry, found: Detection | Refusal | None) -> list[str]:
    """What is not as labelled; empty when everything is."""
    return list(_misses(entry.expected, found))


def _misses(expected: Mapping[str, Any], found: Detection | Refusal | None) -> Iterator[str]:
    kind = _kind(found, str(expected["kind"]))
    if kind != expected["kind"]:
        yield f"kind {kind}, not {expected['kind']}"
        return
    if not isinstance(found, Detection):
        return
    if found.builder != str(expected["builder"]).lower():
        yield f"builder {found.builder}, not {expected['builder']}"
        return
    yield from _port_misses(expected, found)
    if found.builder == "template":
        yield from _name_misses(expected, found)
        yield from _command_misses(expected, found)


def _kind(found: Detection | Refusal | None, expected: str) -> str:
    if found is None:
        return "refuse"
    if isinstance(found, Refusal):
        return expected if expected == "several" and len(found.candidates) >= _SEVERAL else "refuse"
    return "static" if found.output and not found.start else found.service_kind


def _port_misses(expected: Mapping[str, Any], found: Detection) -> Iterator[str]:
    port = expected["port"]
    if isinstance(port, int) and found.port != port:
        yield f"port {found.port}, not {port}"
    # A Dockerfile that names no port gets one in PORT, unless the image that it makes exposes another.
    given_at_run_time = found.builder == "dockerfile" and not found.port_choices
    if port == "PORT" and found.port is None and not given_at_run_time:
        yield "no port"
    if port is None and expected["kind"] == "worker" and found.port is not None:
        yield f"port {found.port} of a worker"


def _name_misses(expected: Mapping[str, Any], found: Detection) -> Iterator[str]:
    framework = str(expected["framework"] or "")
    word = re.split(r"[ ,(]", framework)[0].lower()
    if word and not _PLAIN.match(framework) and word not in f"{found.framework} {found.summary}".lower():
        yield f"framework {found.framework!r}, not {framework!r}"
    runtime = expected["runtime"] or {}
    language = runtime.get("language") or "none"
    if language not in {"none", found.language}:
        yield f"language {found.language}, not {language}"
    if language != "none" and not _same_version(runtime.get("version"), found.version):
        yield f"version {found.version}, not {runtime.get('version')}"
    manager = expected["package_manager"] or {}
    name = _MANAGERS.get(str(manager.get("name")), manager.get("name"))
    if name and name != found.package_manager:
        yield f"package manager {found.package_manager}, not {name}"
    version = str(manager.get("version") or "any")
    if name and re.match(r"\d", version) and not _same_version(version, found.package_manager_version):
        yield f"{name} {found.package_manager_version}, not {version}"


def _same_version(label: str | None, found: str | None) -> bool:
    if label in {None, "any"}:
        return found is None
    if (least := re.fullmatch(r"(\d+) or newer", str(label))) and (number := re.match(r"\d+", found or "")):
        return int(number[0]) >= int(least[1])
    wanted, has = str(label).split("."), (found or "").split(".")
    return all(left == right for left, right in zip(wanted, has, strict=False)) and has != [""]


def _command_misses(expected: Mapping[str, Any], found: Detection) -> Iterator[str]:
    output = str(expected["output"]).strip("/") or "."
    if expected["output"] is not None and output != (found.output or "").strip("/"):
        yield f"output {found.output}, not {output}"
    for part in ("install", "build", "start"):
        label, command = expected[part] or "", getattr(found, part) or ""
        if label and not command:
            yield f"no {part}: {label}"
        elif root := _PHP_ROOT.match(label):
            folder = f"/var/www/html/{root[1] or ''}".rstrip("/")
            if f'"{folder}"' not in found.dockerfile:
                yield f"the document root is not {folder}"
        elif not _alike(label, command):
            yield f"{part} {command!r}, not {label!r}"
    processes = {**found.processes, **({"release": found.release} if found.release else {})}
    for name, command in (expected["processes"] or {}).items():
        if not _alike(command, processes.get(name, "")):
            yield f"process {name} {processes.get(name)!r}, not {command!r}"


def _alike(label: str, command: str) -> bool:
    """Whether they share a program or a target: `gunicorn app:app` and `gunicorn app:app --bind 0.0.0.0:$PORT`."""
    wanted = _words(label)
    if below := re.fullmatch(r"the script below (\S+)", label):
        return below[1] in command
    # `./app` is the name that the label itself gave to what it builds.
    return label == "./app" or not wanted or bool(wanted & _words(command))


def _words(command: str) -> set[str]:
    command = command.lower().replace("rails server", "puma")
    words = set(re.findall(r"[\w@./:+-]+", command))
    names = {re.sub(r"^(?:/app/bin/|(?:\./)?node_modules/\.bin/|.*/bin/|\./)", "", word) for word in words}
    names = {_SAME.get(name, name) for name in (*names, *(name.rpartition("/")[2] for name in names))}
    return {name for name in names if len(name) > 1 and not re.fullmatch(r"[\d.:/-]+|0\.0\.0\.0.*", name)} - _NOISE


# `rackup` and `rails server` start the server that the bundle holds; catalina.sh is the script of Tomcat.
_SAME = {"rackup": "puma", "catalina.sh": "tomcat"}
# Programs that run others: what they run is the target.
_NOISE = {
    "npm", "npx", "pnpm", "yarn", "bun", "deno", "node", "python", "python3", "bundle", "exec", "run", "ruby", "rails",
    "java", "the", "with", "and", "of", "or", "in", "as", "is", "its", "a", "then", "port", "--",
}  # fmt: skip
