"""What the settings page shows of the instance: every setting, where its value comes from, and what it is for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from orca.settings import Settings, settings_fields

_TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "Addresses": ("base", "allowed"),
    "Certificates": ("acme",),
    "Sign-in": ("auth", "oidc", "session", "admin"),
    "Git, registries and webhooks": ("git", "registry", "webhook"),
    "How long things are kept": ("keep",),
    "Builds and disk": ("build", "buildpacks", "disk"),
    "Engine and proxy": ("engine", "docker", "proxy"),
    "The server": ("", "data", "log"),
}
"""Heading -> groups of settings; a group that is not listed stands under the last one."""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as the page shows it."""

    variable: str
    value: str
    default: str
    meaning: str
    is_set: bool
    """Whether something else than the default was given at the start."""


def describe_settings(settings: Settings) -> dict[str, list[SettingRow]]:
    """Return all settings by topic. The value of a secret is never among them, only whether there is one."""
    topics: dict[str, list[SettingRow]] = {topic: [] for topic in _TOPICS}
    topic_of = {group: topic for topic, groups in _TOPICS.items() for group in groups}
    last = list(_TOPICS)[-1]
    for variable, group, name, field in settings_fields():
        holder: Any = getattr(settings, group) if group else settings
        row = SettingRow(
            variable,
            _show(getattr(holder, name)),
            _show(_default(field)),
            field.description or "",
            name in holder.model_fields_set,
        )
        topics[topic_of.get(group, last)].append(row)
    return topics


def _default(field: FieldInfo) -> object:
    return None if field.default is PydanticUndefined else field.default


def _show(value: object) -> str:
    if isinstance(value, SecretStr):
        return "set, not shown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
