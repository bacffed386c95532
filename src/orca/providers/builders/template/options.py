"""The options of templates. Values become part of a Dockerfile, so each is validated. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from orca.errors import BadInput
from orca.sdk.trees import check_relative

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,250}")
_VERSION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")
_ENTRYPOINT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:-]{0,200}(?:\(\))?")
_COMMAND = re.compile(r"[^\x00-\x1f\x7f]{1,1000}")
_PACKAGES = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}(?:[ ,]{1,3}[a-z0-9][a-z0-9+.-]{1,99}){0,49}[ ,]?")
_PATH = re.compile(r"[^\x00-\x1f\x7f\\\"]{0,250}")


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """The options; an empty one is detected."""

    base: str = ""
    """The image to build and run on, instead of the language's usual one."""
    version: str = ""
    """Of the language: `3.12`."""
    entrypoint: str = ""
    """Python: `module:attribute`; Go: the package with main, such as `cmd/server`."""
    root: str = ""
    """The directory of a static site, in the tree or in what the build makes."""
    build: str = ""
    """A shell command that builds, instead of the one that was found."""
    start: str = ""
    """A shell command that runs the service, instead of the one that was found."""
    packages: tuple[str, ...] = ()
    """Debian packages that the image has to contain, and the build too."""
    spa: bool = False
    """Whether unknown paths of a static site answer index.html."""

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Self:
        """Parse the options. Raises BadInput for unknown names and invalid values."""
        checks = {
            "base": _IMAGE, "version": _VERSION, "entrypoint": _ENTRYPOINT, "root": _PATH,
            "build": _COMMAND, "start": _COMMAND, "packages": _PACKAGES, "spa": re.compile("true|false"),
        }  # fmt: skip
        unknown = sorted(options.keys() - checks.keys() - {"dockerfile", "target"})
        if unknown:
            raise BadInput(f"Templates have no option {unknown[0]!r}.", hint=f"There are {', '.join(sorted(checks))}.")
        chosen = {name: value for name, value in options.items() if name in checks and value}
        for name, value in chosen.items():
            if not checks[name].fullmatch(value):
                raise BadInput(f"The template option {name} cannot be {value[:80]!r}.", hint="See the documentation.")
        spa = chosen.pop("spa", "false") == "true"
        packages = tuple(dict.fromkeys(chosen.pop("packages", "").replace(",", " ").split()))
        root = str(check_relative(chosen.pop("root", "")))
        return cls(**chosen, root="" if root == "." else root, spa=spa, packages=packages)
