"""The labels by which Orca recognises its own containers, and why an image cannot fake them. Pure.

A container inherits its image's labels, so `orca.instance` alone proves nothing: an image that Orca built may also be
run by hand. Only Orca sets `orca.container`, which is the container's own name.
"""

from collections.abc import Mapping

from orca.errors import RequestRefused

INSTANCE = "orca.instance"
CONTAINER = "orca.container"
REPLICA = "orca.replica"
"""Of the containers of replicas, of all versions of Orca: what runs is recognised by it."""
FILES = "orca.files"
"""Of volumes that hold the files of one container, whose name it is: they are no data and go with it."""
_BLANK = "(removed by Orca)"
_DESCRIPTIVE = ("org.opencontainers.image.", "org.label-schema.", "maintainer")
"""Prefixes of labels that only describe an image. Any other label may control a program on the host: proxies,
updaters, schedulers and dashboards that watch the engine act on labels of their own, which no list can cover."""


def container_labels(
    instance: str, name: str, wanted: Mapping[str, str], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return a container's labels: the wanted ones, our own, and a blank value for each steering label of the image.

    An inherited label cannot be removed, only overwritten. Raises RequestRefused for a wanted one that is not Orca's.
    """
    foreign = [key for key in wanted if not key.startswith("orca.")]
    if foreign:
        raise RequestRefused(f"The label {foreign[0]} may steer other programs on the host.", hint="Remove it.")
    void = {key: _BLANK for key in inherited if is_steering(key)}
    return {**void, **wanted, INSTANCE: instance, CONTAINER: name}


def is_steering(key: str) -> bool:
    """Whether a program on the host may act on this label."""
    return not key.startswith(_DESCRIPTIVE)


def visible_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels without those that `container_labels` overwrote with a blank value."""
    return {key: value for key, value in labels.items() if value != _BLANK}


def is_ours(instance: str, name: str, labels: Mapping[str, str]) -> bool:
    """Whether this instance created the container of that name."""
    return labels.get(INSTANCE) == instance and labels.get(CONTAINER) == name


def matches(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all wanted labels are present; an empty value matches any value."""
    return all(key in labels and value in {"", labels[key]} for key, value in wanted.items())


def label_filters(labels: Mapping[str, str]) -> list[str]:
    """Return the condition of `matches` as a filter of the Engine API."""
    return [f"{key}={value}" if value else key for key, value in labels.items()]
