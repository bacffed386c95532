"""What a service is made of, as the API, `orca.yaml` and the frozen configuration of a release all write it."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Kind = Literal["web", "worker", "static"]
_KIND_ALIASES = {"webapp": "web", "website": "web", "site": "static", "background": "worker"}
_VARIABLE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _no_control_characters(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("control characters are not allowed")
    return value


def _argument(value: str) -> str:
    if "\x00" in value:
        raise ValueError("NUL bytes are not allowed")
    return value


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_no_control_characters)
]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
Argument = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_argument)]
Path = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=255)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
VolumeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


def _variable_key(value: str) -> str:
    if not _VARIABLE_KEY.fullmatch(value):
        raise ValueError("use letters, digits and underscores, not beginning with a digit")
    return value


VariableKey = Annotated[str, AfterValidator(_variable_key)]


class Strict(BaseModel):
    """Unknown keys are refused: a typo must not be ignored."""

    model_config = ConfigDict(extra="forbid")


class GitSource(Strict):
    """A Git repository. Give a branch, a tag or a commit; with none the default branch is used."""

    type: Literal["git"] = "git"
    repository: Annotated[str, StringConstraints(min_length=1, max_length=2000)] = Field(
        description="https:// or ssh URL, or git@host:path."
    )
    branch: str | None = Field(None, max_length=255)
    tag: str | None = Field(None, max_length=255)
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")] | None = None
    subdirectory: str = Field("", max_length=500, description="Build only this folder of the repository.")
    credential_id: str | None = Field(None, description="Deploy key or token for a private repository.")
    submodules: bool = False

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if sum(value is not None for value in (self.branch, self.tag, self.commit)) > 1:
            raise ValueError("give only one of branch, tag and commit")
        return self


class DirectorySource(Strict):
    """A local directory that `orc deploy` sends. `upload_id` names the tree that was sent last."""

    type: Literal["directory"] = "directory"
    upload_id: str | None = None


class ImageSource(Strict):
    """A ready image; its digest is resolved at each deployment and pinned in the release."""

    type: Literal["image"] = "image"
    image: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    credential_id: str | None = None


Source = Annotated[GitSource | DirectorySource | ImageSource, Field(discriminator="type")]


class BuildOptions(Strict):
    """How an image is made. `auto` takes the Dockerfile if there is one, else the template that fits."""

    builder: Literal["auto", "dockerfile", "template"] = "auto"
    dockerfile: str = Field("Dockerfile", max_length=255)
    target: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")
    arguments: dict[VariableKey, str] = {}
    options: dict[str, str] = Field({}, description="For templates: entrypoint, base, root, version, spa.")


class Port(Strict):
    """A port the process listens on. Public ones get routes."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")] = "http"
    port: PortNumber
    public: bool = False


class HealthCheck(Strict):
    """When a new release counts as healthy. With `auto`: HTTP when a port is public, else that it keeps running."""

    type: Literal["auto", "http", "tcp", "command", "none"] = "auto"
    path: Path = "/"
    method: Literal["GET", "HEAD"] = "GET"
    port: PortNumber | None = None
    command: list[Argument] = []
    status: list[Annotated[int, Field(ge=100, le=599)]] = Field(
        [], description="Accepted status codes; empty accepts 200 to 399."
    )
    interval: float = Field(1.0, ge=0.1, le=60, description="Seconds between tries.")
    timeout: float = Field(5.0, ge=0.1, le=60, description="Seconds one try may take.")
    start_period: float = Field(
        60.0, ge=1, le=3600, description="Seconds after which a release that never was healthy is given up."
    )
    settle: float = Field(0.0, ge=0, le=300, description="Seconds it must stay healthy before traffic moves.")

    @model_validator(mode="after")
    def _command_is_given(self) -> Self:
        if (self.type == "command") != bool(self.command):
            raise ValueError("a command belongs to type “command”, and only there")
        return self


class Limits(Strict):
    """What one replica may use."""

    cpus: float | None = Field(None, gt=0, le=256)
    memory_mb: int | None = Field(None, ge=6, le=4_194_304)


class VolumeMount(Strict):
    """A volume that Orca owns, and where it is seen inside the container."""

    name: VolumeName
    path: Path


class Settings(Strict):
    """Everything of a service that a release freezes, besides its variables."""

    ports: list[Port] = []
    health: HealthCheck = HealthCheck()
    resources: Limits = Limits()
    command: list[Argument] = Field([], description="Replaces the image's command.")
    release_command: list[Argument] = Field([], description="Run once before traffic moves, for migrations.")
    replicas: int = Field(1, ge=0, le=50)
    restart: Literal["always", "unless-stopped", "on-failure", "no"] = "unless-stopped"
    stop_grace: float = Field(10.0, ge=0, le=600, description="Seconds between TERM and KILL.")

    @field_validator("ports")
    @classmethod
    def _ports_differ(cls, ports: list[Port]) -> list[Port]:
        if len({port.port for port in ports}) < len(ports) or len({port.name for port in ports}) < len(ports):
            raise ValueError("port numbers and names must differ")
        return ports


class FrozenConfig(Settings):
    """What a release runs with. Secret variables are not here; their keys are, their values are sealed apart."""

    kind: Kind
    variables: dict[str, str] = {}
    secret_keys: list[str] = []
    mounts: list[VolumeMount] = []
    volume_names: dict[str, str] = Field({}, description="Mount name to the volume's name on the engine.")


class ServiceFields(Settings):
    """What a service has when it is made."""

    name: Name
    slug: Slug | None = Field(None, description="Made from the name when it is not given.")
    kind: Kind = Field("web", alias="type")
    source: Source = Field(alias="build_source")
    build: BuildOptions = BuildOptions()
    volumes: list[VolumeMount] = []
    variables: dict[VariableKey, Annotated[str, StringConstraints(max_length=65536), AfterValidator(_argument)]] = {}

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    @field_validator("kind", mode="before")
    @classmethod
    def _kind_alias(cls, kind: object) -> object:
        return _KIND_ALIASES.get(kind, kind) if isinstance(kind, str) else kind
