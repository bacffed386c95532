"""Converts between the container options of the settings form and the API's JSON. Pure."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from orca.features.services.form_texts import FormReader, parse_lines, show_lines
from orca.features.services.schemas.runtime import RuntimeOptions

PREFIX: Final = "runtime_"
_TEXTS = ("working_directory", "hostname", "stop_signal")
_CHOICES = ("read_only", "init", "host_network")
_CAPABILITIES = ("cap_drop", "cap_add")
_LINES = {
    "tmpfs": "/path=MiB",
    "ulimits": "name=number",
    "extra_hosts": "name=address",
    "sysctls": "name=value",
    "host_folders": "/path=/folder",
}
"""Options of one entry a line, and the form of a line."""
LABELS: Final = {
    "runtime_shm_mb": "Shared memory", "runtime_tmpfs": "Folders in memory", "runtime_ulimits": "Limits of a process",
    "runtime_working_directory": "Working directory", "runtime_hostname": "Hostname",
    "runtime_stop_signal": "Stop signal", "runtime_read_only": "Root file system", "runtime_init": "Process 1",
    "runtime_extra_hosts": "Further hostnames", "runtime_cap_drop": "Capabilities taken away",
    "runtime_files": "Files", "runtime_cap_add": "Further capabilities", "runtime_devices": "Devices",
    "runtime_sysctls": "Kernel parameters", "runtime_networks": "Further networks",
    "runtime_published": "Ports of the machine", "runtime_host_network": "Network of the machine",
    "runtime_host_folders": "Folders of the machine",
}  # fmt: skip
"""The form's fields, as the page labels them."""
_FILE_PARTS: Final = {"": "path", "[key]": "path", "content": "value", "secret": "secret", "mode": "path"}
"""The part of a file in the API -> the part of the form's fields; empty: the file as a whole."""
_FILE = re.compile(r"file_([0-9]{1,3})_(?:path|secret|value)")


def runtime_values(options: RuntimeOptions) -> dict[str, str]:
    """Return the stored options as form values."""
    values = {name: str(getattr(options, name)) for name in _TEXTS}
    values |= {name: str(getattr(options, name)).lower() for name in _CHOICES}
    values |= {name: show_lines(getattr(options, name)) for name in _LINES}
    values |= {"shm_mb": str(options.shm_mb or ""), "devices": " ".join(options.devices)}
    values |= {name: " ".join(getattr(options, name)) for name in (*_CAPABILITIES, "published")}
    values["networks"] = show_lines({name: " ".join(aliases) for name, aliases in options.networks.items()})
    rows = enumerate(options.files.items())
    files = [(f"file_{row}", path, file) for row, (path, file) in rows]
    return {
        **{PREFIX + name: value for name, value in values.items()},
        **{f"{row}_path": path for row, path, _ in files},
        **{f"{row}_secret": file.secret or "" for row, _, file in files},
        **{f"{row}_value": file.content or "" for row, _, file in files},
    }


def list_file_rows(values: Mapping[str, str]) -> list[int]:
    """Return the numbers of the files in form values, and one more for a new file."""
    used = sorted({int(found[1]) for name, text in values.items() if text and (found := _FILE.fullmatch(name))})
    return [*used, used[-1] + 1 if used else 0]


def label_fields(values: Mapping[str, str]) -> dict[str, str]:
    """Return how the page labels the fields of container options and files."""
    rows = list_file_rows(values)
    return {
        **LABELS,
        **{f"file_{row}_{name}": f"File {place}" for place, row in enumerate(rows, 1) for name in _FILE_PARTS.values()},
    }


def runtime_data(stored: Mapping[str, Any], reader: FormReader) -> dict[str, Any]:
    """Return the options in the form as the API's JSON; those that the form has no field for stay as stored."""
    given = {name.removeprefix(PREFIX): text for name, text in reader.form.items() if name.startswith(PREFIX)}
    data = {**stored, **{name: given[name] for name in _TEXTS if name in given}}
    data |= {name: given[name] == "true" for name in _CHOICES if name in given}
    for name, form in _LINES.items():
        if name in given:
            data[name] = reader.read(PREFIX + name, partial(parse_lines, form=form), stored.get(name, {}))
    if "shm_mb" in given:
        data["shm_mb"] = given["shm_mb"] or None
    for name in _CAPABILITIES:
        if name in given:
            data[name] = [word.removeprefix("CAP_") for word in given[name].upper().replace(",", " ").split()]
    if "networks" in given:
        data["networks"] = reader.read(PREFIX + "networks", _parse_networks, stored.get("networks", {}))
    if "published" in given:
        data["published"] = given["published"].replace(",", " ").split()
    if "devices" in given:
        data["devices"] = given["devices"].replace(",", " ").split()
    if any(map(_FILE.fullmatch, reader.form)):
        data["files"] = dict(_read_files(stored.get("files", {}), reader))
    return data


def _parse_networks(text: str) -> dict[str, list[str]]:
    """Parse lines of `name` or `name=alias alias`."""
    named = "\n".join(line if "=" in line or not line.strip() else f"{line}=" for line in text.splitlines())
    return {name: aliases.replace(",", " ").split() for name, aliases in parse_lines(named, "name=alias").items()}


def _read_files(stored: Mapping[str, Any], reader: FormReader) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each file of the form. A row without anything in it is no file; the permissions stay as stored."""
    seen: set[str] = set()
    for row in list_file_rows(reader.form):
        path, secret, text = (reader.form.get(f"file_{row}_{part}", "") for part in ("path", "secret", "value"))
        if not path and (secret or text):
            reader.problems[f"file_{row}_path"] = "write the path of the file, or empty its other fields"
        elif path in seen:
            reader.problems[f"file_{row}_path"] = "another file has this path"
        elif path:
            seen.add(path)
            before = stored.get(path, {})
            text = _as_stored(before.get("content"), text)
            source = {"secret": secret, **({"content": text} if text else {})} if secret else {"content": text}
            yield path, {**source, "mode": before.get("mode", "")}


def _as_stored(stored: str | None, text: str) -> str:
    """Return the stored text where the form shows the same: a browser sends other line ends than it was given."""
    shown = stored and stored.replace("\r\n", "\n").replace("\r", "\n")
    return stored if stored and shown == text else text


def is_unusual(stored: Mapping[str, Any]) -> bool:
    """Whether any option is not the default."""
    return RuntimeOptions.model_validate(stored) != RuntimeOptions()


def name_entry(place: str, message: str) -> str:
    """Put the entry before the message of an error: `runtime.ulimits.nofile` is shown at the field of all limits."""
    _, _, entry = place.removeprefix("runtime.").partition(".")
    entry = entry.removesuffix(".[key]")
    return message if not entry or entry.isdecimal() else f"{entry}: {message}"


def place_file_errors(errors: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Map errors of files, which the API names by their path, to the fields of their rows."""
    rows = {values.get(f"file_{row}_path", ""): row for row in list_file_rows(values)}
    placed = {}
    for place, message in errors.items():
        path, part = _split_place(place.removeprefix("runtime.files."), rows)
        placed[f"file_{rows[path]}_{_FILE_PARTS.get(part, 'path')}" if path else place] = message
    return placed


def _split_place(place: str, paths: Mapping[str, int]) -> tuple[str, str]:
    """Split `/etc/app.conf.content` into path and part; a path may have dots itself."""
    for path in sorted(paths, key=len, reverse=True):
        if path and (place == path or place.startswith(f"{path}.")):
            return path, place.removeprefix(path).removeprefix(".")
    return "", ""
