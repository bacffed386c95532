"""How a service is built and run: its settings, also as a release freezes them."""

from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from orca.errors import BadInput
from orca.features.services import rules
from orca.features.services.rules import Kind, Listening
from orca.features.services.schemas.runtime import RuntimeOptions
from orca.features.services.schemas.variables import ArgumentKey
from orca.features.services.schemas.volumes import VolumeMount
from orca.features.sources.rules import PATH_LIMIT, parse_subdirectory
from orca.kit.fields import Strict, without_nul
from orca.sdk.builders import NAME
from orca.systems import LOCAL
from orca.web.validators import normalised_by

KIND_ALIASES = {"webapp": "web", "website": "web", "site": "static", "background": "worker"}


def _not_empty(value: str) -> str:
    if not value:
        raise ValueError("write the path of a file")
    return value


Argument = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096),
    AfterValidator(without_nul),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 4096, "pattern": r"^[^\x00]*$"}),
]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~+=:@%/?,-]*$", max_length=255)]
UserName = Annotated[
    str, StringConstraints(pattern=r"^(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?)?$")
]
HostName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?$")
]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


BuildText = Annotated[
    str,
    StringConstraints(max_length=4096),
    AfterValidator(without_nul),
    WithJsonSchema({"type": "string", "maxLength": 4096, "pattern": r"^[^\x00]*$"}),
]
OptionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,31}$")]


AUTO: Final = "auto"
"""The builder that leaves the choice to the detection."""


class BuildOptions(Strict):
    """How an image is built. `auto` uses the Dockerfile if there is one, else the template that fits."""

    builder: str = Field(
        AUTO, pattern=NAME,
        description="Who makes the image: `auto`, `dockerfile`, `template`, `buildpacks`, or the builder of a plugin. "
        "`auto` takes the Dockerfile if there is one, and never buildpacks.",
    )  # fmt: skip
    dockerfile: Annotated[
        str,
        normalised_by(parse_subdirectory),
        AfterValidator(_not_empty),
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": PATH_LIMIT}),
    ] = Field("Dockerfile", description="Path of the Dockerfile in the source.")
    target: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$",
        description="Stage of the Dockerfile to build; else the last.",
    )
    arguments: dict[ArgumentKey, BuildText] = Field(
        {}, max_length=100, description="Values for ARG lines. They stay readable in the image: no secrets."
    )
    options: dict[OptionName, BuildText] = Field(
        {},
        max_length=20,
        description="For templates: base, version, entrypoint, root, build, start, packages, spa. "
        "For buildpacks: builder, run_image, process.",
    )


class Port(Strict):
    """A port the process listens on. Public ones get routes."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")] = Field(
        "http", description="A name of its own among the ports."
    )
    port: PortNumber = Field(description="Number of the TCP port inside the container.")
    public: bool = Field(default=False, description="Whether hostnames lead here.")


class HealthCheck(Strict):
    """When a new release counts as healthy.

    With `auto`: by the image's own HEALTHCHECK; else by HTTP when a port is public; else when it keeps running.
    """

    type: Literal["auto", "http", "tcp", "command", "none"] = Field(
        "auto",
        description="How to ask; `none` waits until the process keeps running, and turns the image's HEALTHCHECK off.",
    )
    path: UrlPath = Field("/", description="What `http` asks for.")
    method: Literal["GET", "HEAD"] = Field("GET", description="How `http` asks for it.")
    host: HostName | None = Field(None, description="The Host that `http` asks for; default: the first hostname.")
    port: PortNumber | None = Field(None, description="Port to ask; default: the first public one, else the first.")
    command: list[Argument] = Field(
        [], max_length=100, description="For `command`: run inside the container, healthy when it ends with 0."
    )
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
    """The resource limits of one replica."""

    cpus: float | None = Field(None, ge=0.01, le=256, description="CPU cores, such as 0.5; default: no limit.")
    memory_mb: int | None = Field(
        None,
        ge=6,
        le=4_194_304,
        description="Memory in MiB, without swap; default: no limit. Above it the process is killed.",
    )


class ServiceSettings(Strict):
    """All settings of a service that a release freezes, besides its variables."""

    ports: list[Port] = Field(
        [], max_length=20, description="Where the process listens. A web service that names none gets a detected one."
    )
    health: HealthCheck = Field(HealthCheck(), description="When a new release may get traffic.")
    resources: Limits = Field(Limits(), description="What each replica may use of the machine.")
    command: list[Argument] = Field(
        [], max_length=100, description="Replaces the image's command, one argument per item; no shell is involved."
    )
    release_command: list[Argument] = Field(
        [], max_length=100, description="Run once before traffic moves, for migrations."
    )
    masks_secrets: bool = Field(
        default=True, description="Whether the values of secret variables are hidden in what the containers write."
    )
    replicas: int = Field(1, ge=0, le=50, description="How many copies run; the proxy spreads requests over them.")
    user: UserName = Field(
        "",
        description="Who the process runs as: `1000`, `1000:1000` or a name of the image; default: as the image says.",
    )
    restart: Literal["always", "unless-stopped", "on-failure", "no"] = Field(
        "unless-stopped", description="What happens when the process ends."
    )
    stop_grace: float = Field(10.0, ge=0, le=600, description="Seconds between TERM and KILL.")
    runtime: RuntimeOptions = Field(
        RuntimeOptions(),
        description="What some images need of their containers, such as a working directory or folders in memory.",
    )
    strategy: Literal["auto", "rolling", "recreate"] = Field(
        "auto",
        description="How a new release takes over: `rolling` starts it beside the old one, which serves until then; "
        "`recreate` stops the old one first, so that never two work on the same files. `auto` recreates a service with "
        "volumes, and rolls every other. A service that publishes ports of the machine is always recreated.",
    )

    @field_validator("ports")
    @classmethod
    def _ports_differ(cls, ports: list[Port]) -> list[Port]:
        if len({port.port for port in ports}) < len(ports) or len({port.name for port in ports}) < len(ports):
            raise ValueError("port numbers and names must differ")
        return ports

    def public_ports(self) -> list[int]:
        """Return the ports that get routes."""
        return [port.port for port in self.ports if port.public]

    def check_kind(self, kind: Kind) -> None:
        """Raise BadInput when these settings are not valid for a kind of service."""
        listening = Listening(
            tuple(port.port for port in self.ports), tuple(self.public_ports()), self.health.type, self.health.port
        )
        problems = rules.find_kind_problems(kind, listening)
        if self.runtime.has_machine_ports and self.replicas > 1:
            problems["replicas"] = "two replicas cannot have one port of the machine: publish none, or run one"
        if problems:
            field, problem = next(iter(problems.items()))
            raise BadInput(f"{field}: {problem}", fields=problems)


class FrozenConfig(ServiceSettings):
    """The configuration of a release. Of secret variables it has the keys; their values are sealed separately."""

    kind: Kind
    variables: dict[str, str] = Field({})
    secret_keys: list[str] = Field([])
    mounts: list[VolumeMount] = Field([])
    volume_names: dict[str, str] = Field({}, description="Mount name to the volume's name on the engine.")
    system: str = Field(LOCAL, description="Id of the system that it runs on.")
    privileges: list[str] = Field([], description="What it asks for beyond its containers, and was granted.")

    @property
    def recreates(self) -> bool:
        """Whether the old release is stopped before the new one starts."""
        if self.runtime.has_machine_ports:  # two cannot have one port of the machine
            return True
        return self.strategy == "recreate" or (self.strategy == "auto" and bool(self.mounts))

    def announce_port(self) -> Self:
        """Return a copy with PORT set to the public port, if there is exactly one and PORT is not set yet."""
        port = rules.port_to_announce(self.public_ports())
        if port is None or "PORT" in self.variables or "PORT" in self.secret_keys:
            return self
        return self.model_copy(update={"variables": {**self.variables, "PORT": port}})

    def listen_on(self, port: int) -> Self:
        """Return a copy in which a service without ports uses a detected one; workers stay without ports."""
        if self.ports or self.kind == "worker":
            return self
        return self.model_copy(update={"ports": [Port(port=port, public=True)]}).announce_port()


def ports_for_kind(kind: Kind, settings: ServiceSettings) -> list[Port]:
    """Return the ports of a service: those configured, or the port of the static file server."""
    static = kind == "static" and not settings.ports
    return [Port(port=rules.STATIC_PORT, public=True)] if static else settings.ports


def kind_alias(value: object) -> object:
    """Return the kind that another platform's name, such as `webapp`, stands for."""
    return KIND_ALIASES.get(value, value) if isinstance(value, str) else value
