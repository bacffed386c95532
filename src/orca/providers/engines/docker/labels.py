"""By which marks Orca knows its own containers, and why an image cannot fake them. Pure.

A container inherits its image's labels, so `orca.instance` alone proves nothing: somebody may run an image that Orca
built by hand. What only Orca writes is `orca.container`, the container's own name.
"""

from collections.abc import Mapping

from orca.errors import RequestRefused

INSTANCE = "orca.instance"
CONTAINER = "orca.container"
_BLANK = "(removed by Orca)"
_STEERING = ("orca.", "traefik.", "caddy", "com.docker.", "containerd.", "io.containerd.")
"""Labels with these beginnings make programs on the host do things."""


def container_labels(
    instance: str, name: str, wanted: Mapping[str, str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """What a container gets: the wanted labels, our marks, and steering ones of the image made void.

    An inherited label cannot be taken away, only overwritten. Raises RequestRefused for a wanted steering label.
    """
    foreign = [key for key in wanted if is_steering(key) and not key.startswith("orca.")]
    if foreign:
        raise RequestRefused(f"The label {foreign[0]} steers other programs on the host.", hint="Remove it.")
    void = {key: _BLANK for key in inherited if is_steering(key)}
    return {**void, **wanted, INSTANCE: instance, CONTAINER: name}


def is_steering(key: str) -> bool:
    """Whether a program on the host may act on such a label."""
    return key.startswith(_STEERING)


def visible_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Without what was made void."""
    return {key: value for key, value in labels.items() if value != _BLANK}


def is_ours(instance: str, name: str, labels: Mapping[str, str]) -> bool:
    """Whether this instance created the container of that name."""
    return labels.get(INSTANCE) == instance and labels.get(CONTAINER) == name


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all wanted labels are there; an empty value matches any."""
    return all(key in labels and value in {"", labels[key]} for key, value in wanted.items())


def label_filters(labels: Mapping[str, str]) -> list[str]:
    """The same as a filter of the Engine API."""
    return [f"{key}={value}" if value else key for key, value in labels.items()]
