"""The configured builder image, and the options of a service. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import Field

from orca.errors import BadInput
from orca.providers.builders.buildkit import BuildKitConfig

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,250}")
_PROCESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class BuildpacksConfig(BuildKitConfig):
    """The connection to the engine that builds, and the builder image."""

    builder_image: str = Field(
        "heroku/builder:24", description="The builder: an image with buildpacks and their lifecycle."
    )
    run_image: str = Field(
        "heroku/heroku:24", description="The run image that belongs to the builder; applications are put on it."
    )


@dataclass(frozen=True, slots=True)
class BuildpacksOptions:
    """The options of one build."""

    builder: str
    run_image: str
    process: str = "web"
    """The process to start, by its name in the buildpacks."""

    @classmethod
    def parse(cls, options: Mapping[str, str], config: BuildpacksConfig) -> Self:
        """Parse the options. Raises BadInput for unknown names and invalid values."""
        checks = {"builder": _IMAGE, "run_image": _IMAGE, "process": _PROCESS}
        unknown = sorted(options.keys() - checks.keys() - {"dockerfile", "target"})
        if unknown:
            hint = (
                f"There are {', '.join(sorted(checks))}; buildpacks themselves are steered by build variables (BP_…)."
            )
            raise BadInput(f"Buildpacks have no option {unknown[0]!r}.", hint=hint)
        chosen = {name: value for name, value in options.items() if name in checks and value}
        for name, value in chosen.items():
            if not checks[name].fullmatch(value):
                raise BadInput(f"The option {name} cannot be {value[:80]!r}.", hint="See the documentation.")
        if ("builder" in chosen) != ("run_image" in chosen):
            hint = "The builder's own documentation names the run image that belongs to it."
            raise BadInput("The options builder and run_image belong together: name both or none.", hint=hint)
        return cls(**{"builder": config.builder_image, "run_image": config.run_image, **chosen})
