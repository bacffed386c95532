"""Every setting of an instance, read once from the environment (`ORC_*` and `DATABASE_URL`).

`docs/reference/settings.md` is made from the descriptions below.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL, make_url


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _absent(value: object) -> object:
    return None if value == "" else value


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
OptionalText = Annotated[str | None, BeforeValidator(_absent)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_absent)]


class Group(BaseModel):
    """A group of settings; `ORC_LOG_LEVEL` is `log.level`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseUrls(Group):
    """`ORC_BASE_*`."""

    url: OptionalText = Field(
        None, description="Public URL of the panel, for links and cookies. Default: built from host and port."
    )
    domain: str = Field(
        "localhost", description="Services get `<service>-<project>.<this domain>` as their first hostname."
    )


class Auth(Group):
    """`ORC_AUTH_*`."""

    enabled: bool = Field(default=True, description="Ask who is there. `false` works on a loopback address only.")
    type: Literal["token", "oidc"] = Field(
        "token", description="How people sign in: `token` is passwords and API tokens."
    )
    token: OptionalSecret = Field(
        None, description="If set, a bearer token that may do everything over the API. At least 32 characters."
    )


class Oidc(Group):
    """`ORC_OIDC_*`."""

    issuer: OptionalText = Field(None, description="Issuer URL of the OIDC provider, for `ORC_AUTH_TYPE=oidc`.")
    client_id: OptionalText = Field(None, description="Client id at the OIDC provider.")
    client_secret: OptionalSecret = Field(None, description="Client secret at the OIDC provider.")


class Log(Group):
    """`ORC_LOG_*`."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    format: Literal["json", "text"] = Field("json", description="One JSON object per line, or text for people.")


class Logs(Group):
    """`ORC_LOGS_*`: what services write, kept beyond their containers."""

    stored: bool = Field(
        default=True, description="Whether the output of services is kept on disk. `false` leaves it to the engine."
    )
    days: int = Field(14, ge=1, le=3650, description="The output of a service is kept for so many days.")
    mb: int = Field(
        256,
        ge=8,
        description="The output of a service may take so much disk, compressed, in MiB; the oldest goes first.",
    )


class Data(Group):
    """`ORC_DATA_*`."""

    dir: Path = Field(
        Path("~/.orc"), description="Where Orca keeps its database, key, socket, uploads and proxy state."
    )


class Admin(Group):
    """`ORC_ADMIN_*`: claiming an instance without a person."""

    email: OptionalText = Field(None, description="E-mail of the first owner, for installs without a person.")
    password_file: Path | None = Field(None, description="File that holds the first owner's password.")


class ProxySettings(Group):
    """`ORC_PROXY_*`."""

    name: str = Field("caddy", description="Which proxy provider routes hostnames.")
    mode: Literal["container", "process"] = Field(
        "container", description="Run the embedded proxy as a container or as a process."
    )
    http_port: int = Field(80, ge=1, le=65535, description="Port for plain HTTP.")
    https_port: int = Field(443, ge=1, le=65535, description="Port for HTTPS and HTTP/3.")
    bind: Listed = Field(("0.0.0.0", "[::]"), description="Addresses the proxy listens on, separated by commas.")  # noqa: S104 - a public web server
    public_addresses: Listed = Field(
        (),
        description="Public addresses that hostnames are to be pointed to, separated by commas. Default: those that"
        " this machine itself has; behind a router it has none.",
    )
    trusted_proxies: Listed = Field(
        (),
        description="Networks of load balancers and proxies in front of the sites, whose `X-Forwarded-*` headers count,"
        " separated by commas.",
    )
    protocol: Literal["off", "on"] = Field(
        "off", description="Read the PROXY protocol, which tells visitors' addresses, from the trusted proxies."
    )
    default_hostname: OptionalText = Field(
        None, description="Hostname whose certificate is shown to visitors who name no site, or an unknown one."
    )


class EngineSettings(Group):
    """`ORC_ENGINE_*`."""

    name: str = Field("docker", description="Which engine provider runs services on this machine.")


class Docker(Group):
    """`ORC_DOCKER_*`."""

    host: str = Field("unix:///var/run/docker.sock", description="Socket of the Docker Engine on this machine.")
    pool: str = Field("10.213.0.0/16", description="Address range from which each project gets a network of its own.")


class Acme(Group):
    """`ORC_ACME_*`."""

    directory_url: str = Field(
        "https://acme-v02.api.letsencrypt.org/directory", description="ACME directory that issues public certificates."
    )
    email: OptionalText = Field(None, description="Contact that the certificate authority may write to.")
    ca_root: Path | None = Field(
        None, description="PEM file that signs the ACME server itself, for private authorities."
    )
    eab_key_id: OptionalText = Field(
        None, description="Key id for authorities that bind accounts to a customer (external account binding)."
    )
    eab_hmac_key: OptionalSecret = Field(None, description="The HMAC key that belongs to the key id, in base64url.")
    dns_resolvers: Listed = Field(
        (), description="DNS servers that are asked where a zone is, for proofs by DNS: addresses, with a port if it "
        "is not 53, separated by commas. Default: the machine's own.",
    )  # fmt: skip
    dns_private_networks: bool = Field(
        default=False, description="Whether DNS providers and name servers may be on private networks."
    )
    dns_loopback: bool = Field(
        default=False, description="Whether DNS providers and name servers may be on this machine itself. Users who "
        "may store DNS credentials then reach what listens on its loopback addresses.",
    )  # fmt: skip


class Session(Group):
    """`ORC_SESSION_*`."""

    idle_minutes: int = Field(
        720, ge=5, le=43200, description="A browser session ends after this many minutes without a request."
    )
    absolute_hours: int = Field(
        168, ge=1, le=8760, description="A browser session ends after this many hours in any case."
    )


class Allowed(Group):
    """`ORC_ALLOWED_*`."""

    hosts: Listed = Field((), description="Further host names under which the panel answers, separated by commas.")


class Git(Group):
    """`ORC_GIT_*`."""

    private_networks: bool = Field(
        default=False, description="Whether repositories may be on this machine or on its private networks."
    )
    ca_file: Path | None = Field(
        None, description="PEM file that signs a Git host's certificate, for private authorities."
    )


class Registry(Group):
    """`ORC_REGISTRY_*`."""

    private_networks: bool = Field(
        default=True, description="Whether images may come from registries on this machine or on its private networks."
    )


class WebhookSettings(Group):
    """`ORC_WEBHOOK_*`."""

    private_networks: bool = Field(
        default=False,
        description="Whether webhooks may lead to this machine or its private networks, there also by plain http.",
    )


class BuildSettings(Group):
    """`ORC_BUILD_*`."""

    concurrency: int = Field(2, ge=1, le=32, description="Builds that may run at the same time on this machine.")
    cpus: float = Field(1.5, ge=0.01, le=256, description="CPU cores a build may use.")
    memory_mb: int = Field(2048, ge=128, description="Memory a build may use, in MiB.")
    minutes: int = Field(30, ge=1, le=720, description="A build is stopped after this many minutes.")


class Buildpacks(Group):
    """`ORC_BUILDPACKS_*`."""

    builder: str = Field("heroku/builder:24", description="The builder image that `build.builder: buildpacks` uses.")
    run_image: str = Field("heroku/heroku:24", description="The run image that belongs to that builder.")


class DiskSettings(Group):
    """`ORC_DISK_*`."""

    reserve_mb: int = Field(1024, ge=0, description="Builds are refused when less than this would stay free, in MiB.")
    image_budget_mb: int = Field(
        10240, ge=256, description="Old images of Orca's own are removed above this size, in MiB."
    )
    cache_budget_mb: int = Field(
        5120, ge=0, description="Build cache of Orca's own builds is removed above this size, in MiB."
    )
    upload_limit_mb: int = Field(512, ge=1, description="The largest source tree that `orc deploy` may send, in MiB.")


class Keep(Group):
    """`ORC_KEEP_*`: how long the past is kept."""

    deployments: int = Field(
        50, ge=1, description="So many finished deployments of each service are kept, however old they are."
    )
    deployment_days: int = Field(
        90, ge=1, description="Finished deployments are kept for so many days, with their builds and releases."
    )
    log_days: int = Field(30, ge=1, description="Logs of finished deployments are kept for so many days.")
    task_days: int = Field(30, ge=1, description="Finished tasks are kept for so many days.")


class Settings(BaseSettings):
    """All settings. `host`, `port` and `database_url` stand alone, the rest is in groups."""

    model_config = SettingsConfigDict(
        env_prefix="ORC_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    host: str = Field("127.0.0.1", description="Address the panel listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port the panel listens on.")
    database_url: OptionalSecret = Field(
        None,
        validation_alias="DATABASE_URL",
        description="`postgresql://user:password@host/name`, also with several hosts (`host1:5432,host2:5432`), of "
        "which the one that takes writes is used. Default: SQLite in the data directory.",
    )
    worker: bool = Field(
        default=True, description="Run tasks in the `orc serve` process. Set it to `false` when `orc worker` does."
    )
    worker_offers: Listed = Field(
        ("*",), description="The labels of what this process can reach, separated by commas: `system:local`, "
        "`system:<id>`. It runs only tasks that need nothing else. `*`: it runs all.",
    )  # fmt: skip
    trusted_proxies: Listed = Field(
        (), description="CIDRs of proxies in front of the panel whose `X-Forwarded-For` is believed."
    )
    base: BaseUrls = BaseUrls()
    auth: Auth = Auth()
    oidc: Oidc = Oidc()
    log: Log = Log()
    logs: Logs = Logs()
    data: Data = Data()
    admin: Admin = Admin()
    proxy: ProxySettings = ProxySettings()
    engine: EngineSettings = EngineSettings()
    docker: Docker = Docker()
    acme: Acme = Acme()
    session: Session = Session()
    allowed: Allowed = Allowed()
    git: Git = Git()
    registry: Registry = Registry()
    webhook: WebhookSettings = WebhookSettings()
    build: BuildSettings = BuildSettings()
    buildpacks: Buildpacks = Buildpacks()
    disk: DiskSettings = DiskSettings()
    keep: Keep = Keep()

    @model_validator(mode="after")
    def _refuse_weak_modes(self) -> Self:
        if not self.auth.enabled and not is_loopback(self.host):
            raise ValueError(
                "ORC_AUTH_ENABLED=false works only on a loopback address: set ORC_HOST=127.0.0.1 or leave it out."
            )
        token = self.auth.token
        if token is not None and len(token.get_secret_value()) < 32:  # noqa: PLR2004 - 128 bits even as hex
            raise ValueError(
                "ORC_AUTH_TOKEN is too short: use at least 32 characters, for example from `openssl rand -hex 32`."
            )
        if self.auth.type == "oidc":
            raise ValueError("ORC_AUTH_TYPE=oidc is not available in this version: leave it out, and use passwords.")
        for label in self.worker_offers:
            if label != "*" and not label.startswith("system:"):
                raise ValueError(
                    "ORC_WORKER_OFFERS holds what is no label: write `system:local`, `system:<id>` or `*`."
                )
        for cidr in self.trusted_proxies:
            ip_network(cidr)
        return self

    @property
    def data_dir(self) -> Path:
        """The data directory with `~` resolved."""
        return self.data.dir.expanduser().absolute()

    @property
    def panel_url(self) -> str:
        """The URL people open, without a trailing slash."""
        shown = "localhost" if self.host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else self.host  # noqa: S104 - compared, not bound
        return (self.base.url or f"http://{shown}:{self.port}").rstrip("/")

    @property
    def is_https(self) -> bool:
        """Whether people reach the panel over TLS (decides on cookie prefixes and HSTS)."""
        return self.panel_url.startswith("https://")

    @property
    def database(self) -> URL:
        """The SQLAlchemy URL with the driver Orca uses."""
        if self.database_url is None:
            return URL.create("sqlite+aiosqlite", database=str(self.data_dir / "orc.db"))
        url = parse_database_url(self.database_url.get_secret_value())
        driver = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite+aiosqlite"}
        return url.set(drivername=driver.get(url.drivername, url.drivername))


def settings_fields() -> Iterator[tuple[str, str, str, FieldInfo]]:
    """Return every setting: its variable, its group (empty for those that stand alone), its name and its field."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for inner, described in kind.model_fields.items():
                yield f"ORC_{name}_{inner}".upper(), name, inner, described
        else:
            yield str(field.validation_alias or f"ORC_{name}".upper()), "", name, field


def parse_database_url(text: str) -> URL:
    """As libpq reads it: of several hosts, separated by commas, the one that takes writes is used."""
    scheme, _, rest = text.partition("://")
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    userinfo, at, hosts = authority.rpartition("@")
    if "," not in hosts:
        return make_url(text)
    url = make_url(f"{scheme}://{userinfo}{at}{rest.removeprefix(authority) or '/'}")
    pairs = [re.fullmatch(r"(\[[^]]*\]|[^:]*)(?::(\d*))?", host) for host in hosts.split(",")]
    if None in pairs:
        raise ValueError("the hosts of DATABASE_URL must look like host1:5432,host2:5432")
    names = ",".join(pair[1].strip("[]") for pair in pairs if pair)
    ports = ",".join(pair[2] or "5432" for pair in pairs if pair)
    return url.update_query_dict({"target_session_attrs": "read-write", **url.query, "host": names, "port": ports})


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
