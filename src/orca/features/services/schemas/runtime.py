"""Options of a service's containers that some images need, all of them without a grant."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints

from orca.features.services.schemas.volumes import MountPath
from orca.kit.fields import Strict

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
WorkingDirectory = Annotated[str, StringConstraints(pattern=r"^(?:/[A-Za-z0-9._/@+-]*)?$", max_length=255)]
ContainerHostname = Annotated[
    str, StringConstraints(pattern=r"^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?$", max_length=63)
]
ExtraHostname = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$")]
Ipv4Address = Annotated[str, StringConstraints(pattern=rf"^{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}$")]
UlimitName = Annotated[
    str, StringConstraints(pattern="^(?:core|cpu|data|fsize|locks|memlock|msgqueue|nofile|nproc|sigpending|stack)$")
]
UlimitValue = Annotated[int, Field(ge=-1, le=2**40)]
Megabytes = Annotated[int, Field(ge=1, le=1_048_576)]
StopSignal = Literal[
    "", "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGABRT", "SIGKILL", "SIGRTMIN+3"
]
STOP_SIGNALS: Final = get_args(StopSignal)[1:]
Droppable = Literal["ALL", "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "NET_BIND_SERVICE", "KILL"]


class RuntimeOptions(Strict):
    """What the containers of a service have beside their image, command and limits."""

    working_directory: WorkingDirectory = Field("", description="Where the process starts; default: as the image says.")
    hostname: ContainerHostname = Field("", description="The name that the container has for itself.")
    read_only: bool = Field(
        default=False, description="Whether the root of the file system is read-only; volumes and `tmpfs` are not."
    )
    tmpfs: dict[MountPath, Megabytes] = Field(
        {}, max_length=20, description="Folders in memory, with their size in MiB. They count towards the memory limit."
    )
    shm_mb: Megabytes | None = Field(None, description="Size of /dev/shm in MiB; default: 64.")
    ulimits: dict[UlimitName, UlimitValue] = Field(
        {}, max_length=11, description="Limits of each process, such as `nofile`; -1 is none."
    )
    stop_signal: StopSignal = Field(
        "", description="What asks the process to end; default: as the image says, else TERM."
    )
    init: bool = Field(
        default=True, description="Whether a small process 1 reaps zombies; `false` for images that bring their own."
    )
    extra_hosts: dict[ExtraHostname, Ipv4Address] = Field(
        {}, max_length=50, description="Further hostnames that the process can look up, and their addresses."
    )
    cap_drop: list[Droppable] = Field(
        [], max_length=8, description="Capabilities to take away; the process has no others than these."
    )
