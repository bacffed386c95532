"""Describes the differences between a service's stored settings and its live release. Pure."""

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from orca.features.services.schemas.runtime import RuntimeOptions
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig, HealthCheck, Limits, Port
from orca.kit.text import shorten

Difference = Literal["added", "removed", "changed"]
_LONGEST = 40
_LONGEST_VALUE = 400
HIDDEN = "••••••••"
_HEALTH_WORDS = {
    "type": "health check", "path": "health check path", "method": "health check method",
    "host": "health check host", "port": "health check port",
    "command": "health check command", "status": "health check status", "interval": "health check interval",
    "timeout": "health check timeout", "start_period": "health check deadline", "settle": "health check settle time",
}  # fmt: skip
_RUNTIME_WORDS = {
    "working_directory": "working directory", "hostname": "hostname of the container", "read_only": "read-only root",
    "tmpfs": "folder in memory", "shm_mb": "shared memory", "ulimits": "limit", "stop_signal": "stop signal",
    "init": "process 1 of Orca", "extra_hosts": "further hostname", "cap_drop": "capabilities taken away",
    "files": "file", "cap_add": "further capabilities", "devices": "devices", "sysctls": "kernel parameter",
    "networks": "network", "published": "ports of the machine",
    "host_network": "network of the machine", "host_folders": "folder of the machine",
}  # fmt: skip
_RUNTIME_UNITS = {"tmpfs": " MiB", "shm_mb": " MiB"}
_SOURCE_WORDS = {
    "repository": "repository", "branch": "branch", "tag": "tag", "commit": "commit", "subdirectory": "subdirectory",
    "image": "image",
}  # fmt: skip
_REFERENCES = ("branch", "tag", "commit")


class ConfigChange(NamedTuple):
    """One difference: in words, and as what stands where it differs."""

    text: str
    """`replicas 1→2`, `variable API_KEY changed`: without values of variables."""
    what: str
    before: str = ""
    after: str = ""
    is_value: bool = False
    """Whether it is a variable: then before and after are its values, if they are not secret."""


def compare_configs(
    stored: FrozenConfig, live: FrozenConfig, changed_secrets: Collection[str] = ()
) -> list[ConfigChange]:
    """Return the differences in the order of the settings page.

    `changed_secrets` are keys whose value was set after `live` was frozen.
    """
    if not stored.ports and stored.kind != "worker":
        stored = stored.model_copy(update={"ports": live.ports}).announce_port()  # detected ports are no difference
    return [
        *_told("kind", stored.kind, live.kind),
        *_told("system", stored.system, live.system),
        *_told("replicas", stored.replicas, live.replicas),
        *_told("ports", show_ports(stored.ports), show_ports(live.ports)),
        *_told("command", shlex.join(stored.command), shlex.join(live.command)),
        *_told("release command", shlex.join(stored.release_command), shlex.join(live.release_command)),
        *_compare_limits(stored.resources, live.resources),
        *_told("restart", stored.restart, live.restart),
        *_told("user", stored.user, live.user),
        *_told("masking of secrets in logs", _on(masks=stored.masks_secrets), _on(masks=live.masks_secrets)),
        *_told("strategy", stored.strategy, live.strategy),
        *_told("stop grace", f"{stored.stop_grace:g} s", f"{live.stop_grace:g} s"),
        *_compare_runtime(stored.runtime, live.runtime),
        *_compare_health(stored.health, live.health),
        *_compare_variables(stored, live, changed_secrets),
        *_compare_mounts(stored, live),
    ]


def compare_sources(stored: Mapping[str, Any], deployed: Mapping[str, Any]) -> list[ConfigChange]:
    """Compare the sources. A commit that only one push or request named is no difference."""
    if stored["type"] != deployed.get("type"):
        return list(_told("source", stored["type"], deployed.get("type")))
    named_once = deployed.get("commit") and not stored.get("commit")
    skipped = _REFERENCES if named_once else ()
    return [
        told
        for key, word in _SOURCE_WORDS.items()
        if key not in skipped
        for told in _told(word, stored.get(key), deployed.get(key))
    ]


def compare_builds(stored: BuildOptions, deployed: BuildOptions) -> list[ConfigChange]:
    """Compare the build options."""
    return [
        *_told("builder", stored.builder, deployed.builder),
        *_told("Dockerfile", stored.dockerfile, deployed.dockerfile),
        *_told("build target", stored.target, deployed.target),
        *_compare_keys("build argument", stored.arguments, deployed.arguments),
        *_compare_keys("build option", stored.options, deployed.options),
    ]


def show_ports(ports: Sequence[Port]) -> str:
    """Return ports in the form's notation: `http:8080, metrics:9090 private`."""
    return ", ".join(f"{port.name}:{port.port}{'' if port.public else ' private'}" for port in ports)


def _told(word: str, stored: object, live: object) -> Iterator[ConfigChange]:
    if (stored or None) != (live or None):
        before, after = _shown(live), _shown(stored)
        yield ConfigChange(f"{word} {before}→{after}", word, before, after)


def _shown(value: object) -> str:
    return "none" if value is None or value == "" else shorten(str(value), _LONGEST)


def _on(*, masks: bool) -> str:
    return "on" if masks else "off"


def _compare_limits(stored: Limits, live: Limits) -> Iterator[ConfigChange]:
    def memory(limits: Limits) -> str | None:
        return None if limits.memory_mb is None else f"{limits.memory_mb} MiB"

    yield from _told("CPU cores", _number(stored.cpus), _number(live.cpus))
    yield from _told("memory", memory(stored), memory(live))


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _compare_runtime(stored: RuntimeOptions, live: RuntimeOptions) -> Iterator[ConfigChange]:
    for name, word in _RUNTIME_WORDS.items():
        now, before, unit = getattr(stored, name), getattr(live, name), _RUNTIME_UNITS.get(name, "")
        if name == "files":
            yield from _compare_keys(word, now, before)
        elif name == "networks":
            joined = {key: " ".join(aliases) or "joined" for key, aliases in now.items()}
            was_in = {key: " ".join(aliases) or "joined" for key, aliases in before.items()}
            for key in sorted({*now, *before}):
                yield from _told(f"{word} {key}", joined.get(key), was_in.get(key))
        elif isinstance(now, dict):
            for key in sorted({*now, *before}):
                yield from _told(f"{word} {key}", _option(now.get(key), unit), _option(before.get(key), unit))
        else:
            yield from _told(word, _option(now, unit), _option(before, unit))


def _option(value: object, unit: str) -> str | None:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return " ".join(value) or None
    return None if value is None or value == "" else f"{value}{unit}"


def _compare_health(stored: HealthCheck, live: HealthCheck) -> Iterator[ConfigChange]:
    for name, word in _HEALTH_WORDS.items():
        yield from _told(word, _health_value(stored, name), _health_value(live, name))


def _health_value(health: HealthCheck, name: str) -> object:
    value = getattr(health, name)
    if isinstance(value, float):
        return f"{value:g} s"
    if isinstance(value, list):
        return shlex.join(map(str, value))
    return value


def compare_variables(
    stored: FrozenConfig, live: FrozenConfig, changed_secrets: Collection[str] = ()
) -> dict[str, Difference]:
    """Map the keys of variables that differ to how they do."""
    sealed = {key: ("secret", key in changed_secrets) for key in stored.secret_keys}
    was_sealed = dict.fromkeys(live.secret_keys, ("secret", False))
    return _differences({**stored.variables, **sealed}, {**live.variables, **was_sealed})


def _compare_variables(
    stored: FrozenConfig, live: FrozenConfig, changed_secrets: Collection[str]
) -> Iterator[ConfigChange]:
    secret = {*stored.secret_keys, *live.secret_keys}
    for key, difference in compare_variables(stored, live, changed_secrets).items():
        before, after = (_value_of(config, key, is_secret=key in secret) for config in (live, stored))
        yield ConfigChange(f"variable {key} {difference}", f"variable {key}", before, after, is_value=True)


def _value_of(config: FrozenConfig, key: str, *, is_secret: bool) -> str:
    """Return a value; of a variable that is secret on either side, only whether there is one."""
    if is_secret:
        return HIDDEN if key in config.secret_keys or key in config.variables else ""
    return shorten(config.variables.get(key, ""), _LONGEST_VALUE)


def _compare_keys(word: str, stored: Mapping[str, object], live: Mapping[str, object]) -> Iterator[ConfigChange]:
    for key, difference in _differences(stored, live).items():
        yield _happened(f"{word} {key}", difference)


def _happened(what: str, difference: Difference) -> ConfigChange:
    before, after = {"added": ("", "added"), "removed": ("removed", ""), "changed": ("", "changed")}[difference]
    return ConfigChange(f"{what} {difference}", what, before, after)


def _differences(stored: Mapping[str, object], live: Mapping[str, object]) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for key in sorted({*stored, *live}):
        if key not in live:
            found[key] = "added"
        elif key not in stored:
            found[key] = "removed"
        elif stored[key] != live[key]:
            found[key] = "changed"
    return found


def _compare_mounts(stored: FrozenConfig, live: FrozenConfig) -> Iterator[ConfigChange]:
    now = {mount.name: mount for mount in stored.mounts}
    before = {mount.name: mount for mount in live.mounts}
    for name in sorted({*now, *before}):
        if name not in before:
            yield _happened(f"volume {name}", "added")
        elif name not in now:
            yield _happened(f"volume {name}", "removed")
        else:
            for part in ("path", "owner", "mode"):
                yield from _told(f"{part} of volume {name}", getattr(now[name], part), getattr(before[name], part))
            if now[name].read_only != before[name].read_only:
                words = ("writable", "read only") if now[name].read_only else ("read only", "writable")
                yield ConfigChange(f"volume {name} is {words[1]}", f"volume {name}", *words)
            if stored.volume_names.get(name) != live.volume_names.get(name):
                yield ConfigChange(f"volume {name} is another one", f"volume {name}", "", "another one")
