"""Checks build requests, and the labels of the resulting images. Pure."""

import re
from collections.abc import Mapping

from orca.errors import BadInput
from orca.providers.builders.buildkit.errors import LabelReserved, SecretInArgument
from orca.sdk.builders import BuildRequest, is_secret_like

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TAG = re.compile(r"[a-z0-9][a-z0-9._/-]*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?")
_RESERVED_ARGUMENT = re.compile(r"BUILDKIT_|BUILDX_|DOCKER_", re.IGNORECASE)
_RESERVED_LABELS = ("traefik.", "caddy", "com.docker.", "containerd.", "io.containerd.", "orca.")
_VALUE_LIMIT = 100_000
"""Maximum size of a value: Linux passes at most 128 KiB in one variable or argument."""


def check_request(request: BuildRequest) -> None:
    """Check a build request. Raises BadInput, SecretInArgument."""
    for name, value in request.arguments.items():
        _check_argument(name, value)
    for name, value in request.secrets.items():
        if not _SECRET_ID.fullmatch(name) or "\0" in value or len(value.encode()) > _VALUE_LIMIT:
            raise BadInput(f"The build secret {name[:80]!r} has a bad name or is too long.", hint="Letters, digits, _.")
    if request.target is not None and not _TARGET.fullmatch(request.target):
        raise BadInput(f"{request.target[:80]!r} is not the name of a build stage.", hint="Use the name after AS.")
    if not _TAG.fullmatch(request.tag):
        raise BadInput(f"{request.tag[:80]!r} is not an image tag.", hint="Use lower-case letters, digits and -.")


def _check_argument(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or _RESERVED_ARGUMENT.match(name):
        raise BadInput(
            f"{name[:80]!r} cannot be a build argument.",
            hint="Names are letters, digits and _; BUILDKIT_… and DOCKER_… steer the builder itself.",
        )
    if "\0" in value or len(value.encode()) > _VALUE_LIMIT:
        raise BadInput(f"The value of the build argument {name} is too long.", hint="Put it into a file.")
    if is_secret_like(name):
        raise SecretInArgument(
            f"The build argument {name} looks like a secret, and arguments stay readable in the image.",
            hint=f"Make it a build secret and use it with RUN --mount=type=secret,id={name}.",
        )


def check_labels(labels: Mapping[str, str], ours: Mapping[str, str]) -> None:
    """Raise LabelReserved for a label that controls other software on the host and that Orca did not set."""
    foreign = sorted(name for name in labels if name.lower().startswith(_RESERVED_LABELS) and name not in ours)
    if foreign:
        raise LabelReserved(
            f"The image sets the label {foreign[0]}, which steers software on the host.",
            hint="Remove the LABEL from the Dockerfile, or choose another base image if it comes from there.",
        )
