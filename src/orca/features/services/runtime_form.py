"""Converts between the container options of the settings form and the API's JSON. Pure."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from orca.features.services.form_texts import Reader, parse_lines, show_lines
from orca.features.services.schemas.runtime import RuntimeOptions

PREFIX: Final = "runtime_"
_TEXTS = ("working_directory", "hostname", "stop_signal")
_CHOICES = ("read_only", "init")
_LINES = {"tmpfs": "/path=MiB", "ulimits": "name=number", "extra_hosts": "name=address"}
"""Options of one entry a line, and the form of a line."""
LABELS: Final = {
    "runtime_shm_mb": "Shared memory", "runtime_tmpfs": "Folders in memory", "runtime_ulimits": "Limits of a process",
    "runtime_working_directory": "Working directory", "runtime_hostname": "Hostname",
    "runtime_stop_signal": "Stop signal", "runtime_read_only": "Root file system", "runtime_init": "Process 1",
    "runtime_extra_hosts": "Further hostnames", "runtime_cap_drop": "Capabilities taken away",
}  # fmt: skip
"""The form's fields, as the page labels them."""


def runtime_values(options: RuntimeOptions) -> dict[str, str]:
    """Return the stored options as form values."""
    values = {name: str(getattr(options, name)) for name in _TEXTS}
    values |= {name: str(getattr(options, name)).lower() for name in _CHOICES}
    values |= {name: show_lines(getattr(options, name)) for name in _LINES}
    values |= {"shm_mb": str(options.shm_mb or ""), "cap_drop": " ".join(options.cap_drop)}
    return {PREFIX + name: value for name, value in values.items()}


def runtime_data(stored: Mapping[str, Any], reader: Reader) -> dict[str, Any]:
    """Return the options in the form as the API's JSON; those that the form has no field for stay as stored."""
    given = {name.removeprefix(PREFIX): text for name, text in reader.form.items() if name.startswith(PREFIX)}
    data = {**stored, **{name: given[name] for name in _TEXTS if name in given}}
    data |= {name: given[name] == "true" for name in _CHOICES if name in given}
    for name, form in _LINES.items():
        if name in given:
            data[name] = reader.read(PREFIX + name, partial(parse_lines, form=form), stored.get(name, {}))
    if "shm_mb" in given:
        data["shm_mb"] = given["shm_mb"] or None
    if "cap_drop" in given:
        words = given["cap_drop"].upper().replace(",", " ").split()
        data["cap_drop"] = [word.removeprefix("CAP_") for word in words]
    return data


def is_unusual(stored: Mapping[str, Any]) -> bool:
    """Whether any option is not the default."""
    return RuntimeOptions.model_validate(stored) != RuntimeOptions()


def name_entry(place: str, message: str) -> str:
    """Put the entry before the message of an error: `runtime.ulimits.nofile` is shown at the field of all limits."""
    _, _, entry = place.removeprefix("runtime.").partition(".")
    entry = entry.removesuffix(".[key]")
    return message if not entry or entry.isdecimal() else f"{entry}: {message}"
