"""Options of a service's containers that some images need. What reaches beyond them needs a grant: `privileges.py`."""

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from orca.features.services import rules
from orca.features.services.schemas.variables import Value, VariableKey
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

FilePath = Annotated[
    str,
    StringConstraints(max_length=255),
    AfterValidator(rules.check_file_path),
    WithJsonSchema({"type": "string", "maxLength": 255, "pattern": rules.FILE_PATH}),
]
FileMode = Annotated[str, StringConstraints(pattern=r"^(?:0?[45][045][045])?$")]

CapabilityName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z_]{1,40}$")]
DevicePath = Annotated[str, StringConstraints(pattern=r"^/dev(?:/[A-Za-z0-9_:-][A-Za-z0-9._:-]*)+$", max_length=255)]
SysctlName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(?:\.[a-z0-9_-]+)+$", max_length=120)]
SysctlValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:._,-]+(?: [A-Za-z0-9:._,-]+)*$", max_length=120)]

NetworkName = Annotated[
    str, StringConstraints(pattern=rf"^(?:[a-z][a-z0-9-]{{0,30}}|{rules.ENVIRONMENT_NETWORK})$", max_length=50)
]
Alias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
_PORT = r"(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
Published = Annotated[
    str, StringConstraints(pattern=rf"^(?:{_OCTET}(?:\.{_OCTET}){{3}}:)?{_PORT}:{_PORT}(?:/(?:tcp|udp))?$")
]
HostPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/@ +-]*(?::ro)?$", max_length=255)]


class RuntimeFile(Strict):
    """A text file of which each container gets a copy before its process starts, to be read only."""

    content: Value | None = Field(None, description="Its text. It is as readable as a plain variable: no secrets.")
    secret: VariableKey | None = Field(
        None, description="Instead of `content`: the secret variable whose value it has, which is then no variable."
    )
    mode: FileMode = Field(
        "", description="Permissions such as `0444`; default: `0400` for a secret, `0444` for any other."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.content is None) == (self.secret is None):
            raise ValueError("a file has either `content`, or the name of a `secret` variable")
        return self

    @property
    def permissions(self) -> int:
        """The permissions as a number."""
        return int(self.mode, 8) if self.mode else 0o444 if self.secret is None else 0o400


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
    files: dict[FilePath, RuntimeFile] = Field(
        {},
        max_length=20,
        description="Files by their path, 128 KiB together. They belong to the user that the process runs as.",
    )

    cap_add: list[CapabilityName] = Field(
        [], max_length=20, description="Capabilities that the process has in addition. Each needs a grant."
    )
    devices: list[DevicePath] = Field(
        [], max_length=20, description="Devices of the machine, such as `/dev/dri`. Each needs a grant."
    )
    sysctls: dict[SysctlName, SysctlValue] = Field(
        {},
        max_length=20,
        description="Kernel parameters of the container's own network and memory. Each needs a grant.",
    )

    networks: dict[NetworkName, list[Alias]] = Field(
        {},
        max_length=10,
        description="Further networks, and the names by which the service is found in each. A plain name is one of "
        "its environment; `orca-` and the id of another environment is the network of that one, and needs a grant.",
    )
    published: list[Published] = Field(
        [],
        max_length=20,
        description="Ports of the machine that lead to ports of the container, past the proxy: `53:5353/udp`, or "
        "`127.0.0.1:53:5353/udp` for one address. Each needs a grant.",
    )
    host_network: bool = Field(
        default=False,
        description="Whether the process uses the network of the machine instead of that of its environment: what it "
        "listens on are ports of the machine. One replica at a time. Needs a grant.",
    )
    host_folders: dict[MountPath, HostPath] = Field(
        {},
        max_length=20,
        description="Folders of the machine by their path inside, such as `/srv/media` or, to be read only, "
        "`/srv/media:ro`. Each needs a grant.",
    )

    @field_validator("published")
    @classmethod
    def _ports_differ(cls, published: list[str]) -> list[str]:
        if problem := rules.find_published_problem(published):
            raise ValueError(problem)
        return published

    @field_validator("host_network")
    @classmethod
    def _has_no_other_network(cls, host_network: bool, info: ValidationInfo) -> bool:
        if host_network and (info.data.get("networks") or info.data.get("published")):
            raise ValueError("on the network of the machine there are no further networks and no published ports")
        if host_network and any(name.startswith("net.") for name in info.data.get("sysctls", ())):
            raise ValueError("kernel parameters `net.…` would be those of the whole machine")
        return host_network

    @field_validator("host_folders")
    @classmethod
    def _folders_hold_no_files(cls, folders: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        for path in info.data.get("files", ()):
            if any(rules.is_below(path, folder) for folder in folders):
                raise ValueError(f"the file {path} would be put into a folder of the machine")
        return folders

    @field_validator("files")
    @classmethod
    def _files_fit(cls, files: dict[str, RuntimeFile], info: ValidationInfo) -> dict[str, RuntimeFile]:
        if problem := rules.find_file_problem(files, info.data.get("tmpfs", ())):
            raise ValueError(problem)
        if sum(len((file.content or "").encode()) for file in files.values()) > rules.MAX_FILES_BYTES:
            raise ValueError(
                f"all files may have {rules.MAX_FILES_BYTES:,} bytes at most; put larger ones into a volume"
            )
        return files

    @property
    def has_machine_ports(self) -> bool:
        """Whether it takes ports of the machine, of which no second replica can have the same."""
        return bool(self.published) or self.host_network

    @property
    def secret_files(self) -> set[str]:
        """The secret variables that are files."""
        return {file.secret for file in self.files.values() if file.secret is not None}
