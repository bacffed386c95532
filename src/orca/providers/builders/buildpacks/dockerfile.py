"""The phases of the lifecycle as steps of a Dockerfile. Pure.

Detection and build run as the builder's own unprivileged user, without the engine's socket and without a login for a
registry. The last stage replaces the lifecycle's exporter: the contract of the app image is in the Platform
specification. It contains only the launch layers.
"""

import re
from collections.abc import Iterable

from orca.providers.builders.buildpacks.config import BuildpacksOptions

PLATFORM_API = "0.12"
"""The platform API version, supported by lifecycles since 0.17."""
NO_PROCESS, NO_BUILDER = 64, 65
"""Exit codes of the steps that check whether the process to start exists, and whether the image is a builder."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREPARE = (
    'if [ -z "$CNB_USER_ID" ] || [ -z "$CNB_GROUP_ID" ] || [ ! -x /cnb/lifecycle/detector ]; then '
    "echo 'This image is no builder of Cloud Native Buildpacks.'; exit {exit_code}; fi; "
    "case $(uname -m) in x86_64) arch=amd64;; aarch64) arch=arm64;; *) arch=$(uname -m);; esac; "
    "if [ -r /etc/os-release ]; then name=$(. /etc/os-release; echo $ID); "
    "version=$(. /etc/os-release; echo $VERSION_ID); fi; "
    "mkdir -p /layers /platform/env /cnb-process && "
    'printf \'[run-image.target]\\nos = "linux"\\narch = "%s"\\n\' "$arch" > /layers/analyzed.toml && '
    'if [ -n "$name" ]; then for key in distro distribution; do '
    'printf \'[run-image.target.%s]\\nname = "%s"\\nversion = "%s"\\n\' $key "$name" "$version" '
    ">> /layers/analyzed.toml; done; fi && "
    'chown -R "$CNB_USER_ID:$CNB_GROUP_ID" /workspace /layers'
)
"""Replaces the analyzer, which would contact a registry: there is no previous image, and the target is this machine
with the builder's distribution, whose key has another name in older lifecycles."""
_TIDY = (
    'set -eu; for layer in /layers/*/*/; do layer="${layer%/}"; '
    'case "$layer" in /layers/config/*|/layers/sbom/*) continue;; esac; '
    'grep -Eq "launch[[:space:]]*=[[:space:]]*true" "$layer.toml" 2>/dev/null || rm -rf "$layer"; done; '
    "for toml in /layers/*.toml /layers/*/*.toml; do "
    '[ "$toml" = /layers/config/metadata.toml ] || rm -f "$toml"; done; '
    "rm -rf /layers/sbom/build /layers/sbom/cache"
)
_LINK = (
    "set -eu; sed -n 's/^[[:space:]]*type[[:space:]]*=[[:space:]]*\"\\([A-Za-z0-9_-]*\\)\"[[:space:]]*$/\\1/p' "
    '/layers/config/metadata.toml | while read -r name; do ln -sf /cnb/lifecycle/launcher "/cnb-process/$name"; done; '
    "if [ ! -L /cnb-process/{process} ]; then "
    'echo "The buildpacks name no process {process}. There are:" $(ls /cnb-process); exit {exit_code}; fi'
)


def render_dockerfile(options: BuildpacksOptions, variables: Iterable[str] = (), secrets: Iterable[str] = ()) -> str:
    """Render the Dockerfile. Buildpacks read variables only from files: secrets are mounted while a phase runs."""
    plain = [
        f'printf %s "${variable}" > /platform/env/{variable}' for variable in variables if _NAME.fullmatch(variable)
    ]
    mounts = "".join(
        f"--mount=type=secret,id={secret},target=/platform/env/{secret},mode=0444 "
        for secret in secrets
        if _NAME.fullmatch(secret)
    )
    lines = [
        f"FROM {options.builder} AS build",
        "USER 0:0",
        "COPY . /workspace",
        f"RUN {' && '.join([_PREPARE.format(exit_code=NO_BUILDER), *plain])}",
        "USER ${CNB_USER_ID}:${CNB_GROUP_ID}",
        f"ENV CNB_PLATFORM_API={PLATFORM_API}",
        f'RUN {mounts}echo "Phase: detector" && /cnb/lifecycle/detector',
        f'RUN {mounts}echo "Phase: builder" && /cnb/lifecycle/builder',
        "USER 0:0",
        f"RUN {_TIDY}",
        f"RUN {_LINK.format(process=options.process, exit_code=NO_PROCESS)}",
        f"FROM {options.run_image}",
        "COPY --from=build /layers /layers",
        "COPY --from=build /workspace /workspace",
        "COPY --from=build /cnb/lifecycle/launcher /cnb/lifecycle/launcher",
        "COPY --from=build /cnb-process /cnb/process",
        f"ENV CNB_PLATFORM_API={PLATFORM_API} CNB_LAYERS_DIR=/layers CNB_APP_DIR=/workspace",
        "ENV PATH=/cnb/process:$PATH",
        "WORKDIR /workspace",
        f'ENTRYPOINT ["/cnb/process/{options.process}"]',
        "CMD []",
    ]
    return "\n".join(lines) + "\n"
