"""Base images of a private registry: with the right login, with a wrong one, with none."""

import base64
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.providers.builders.registry import PASSWORD, Registry, running_registry

from orca.providers.builders.buildkit import BuildKitConfig, DockerClient
from orca.providers.builders.buildkit.errors import AddressForbidden, BaseImageUnavailable
from orca.providers.builders.dockerfile import DockerfileBuilder
from orca.providers.connectors.local import LocalConnector
from orca.sdk.builders import BuiltImage
from orca.sdk.connectors import Command
from orca.sdk.containers import RegistryLogin

pytestmark = pytest.mark.docker


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with running_registry(tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
def base(registry: Registry, bench: Any) -> str:
    """A private image that the engine does not have."""
    return registry.take(bench.shell_image())


async def build(
    bench: Any, base: str, *logins: RegistryLogin, client: DockerClient | None = None, **changes: Any
) -> BuiltImage:
    hostile = "!.orca-build*\n!**/config.json\n"
    dockerfile = f"FROM {base}\nCOPY . /src\nRUN find /src -name config.json; echo {secrets.token_hex(4)} > /stamp\n"
    tree = bench.tree({"Dockerfile": dockerfile, ".dockerignore": hostile, "Dockerfile.dockerignore": hostile})
    builder = DockerfileBuilder(client or bench.client)
    return await builder.build(bench.request(tree, logins=logins, **changes), bench.log)


@dataclass
class Spy:
    """Looks at each command as it starts, and at the configuration that it gets."""

    commands: list[Command] = field(default_factory=list)
    logins: set[str] = field(default_factory=set)
    modes: set[int] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)

    def __call__(self, command: Command) -> None:
        self.commands.append(command)
        file = Path(command.env["DOCKER_CONFIG"]) / "config.json"
        if file.is_file():
            self.logins.add(file.read_text())
            self.modes |= {file.stat().st_mode & 0o777, file.parents[1].stat().st_mode & 0o777}
            self.folders.add(file.parent)


async def test_the_right_login_fetches_the_image_and_stays_nowhere(registry: Registry, base: str, bench: Any) -> None:
    """DOC-11: no argument, variable, log, history, layer or file shows it, and the build gets no other login."""
    spy = Spy()
    client = DockerClient(LocalConnector(spy), BuildKitConfig())
    image = await build(bench, base, registry.login, RegistryLogin("other.example", "x", "canary-other"), client=client)
    encoded = base64.b64encode(f"orca:{PASSWORD}".encode()).decode()
    history = subprocess.run(["docker", "history", "--no-trunc", image.id], check=True, capture_output=True, text=True)
    saved = subprocess.run(["docker", "save", image.id], check=True, capture_output=True).stdout
    told = "\n".join([*bench.lines, history.stdout, *(f"{each.argv} {each.env}" for each in spy.commands)])
    for secret in (PASSWORD, encoded, "canary-other"):
        assert secret not in told
        assert secret.encode() not in saved
    assert not any("config.json" in line and "|" in line for line in bench.lines)
    assert spy.logins == {f'{{"auths": {{"{registry.address}": {{"auth": "{encoded}"}}}}}}'}
    assert spy.modes == {0o600, 0o700}
    assert not any(folder.exists() for folder in spy.folders)


@pytest.mark.parametrize("works", [True, False])
async def test_without_a_right_login_the_failure_teaches(
    registry: Registry, base: str, bench: Any, works: bool
) -> None:
    wrong = RegistryLogin(registry.address, "orca", "canary-wrong-password")
    missing = base.replace("/team/", "/nobody/")
    with pytest.raises(BaseImageUnavailable) as caught:
        await build(bench, missing if works else base, registry.login if works else wrong)
    expected = (
        f"{registry.address} accepts the login of orca" if works else f"Logging in to {registry.address} as orca fails"
    )
    assert expected in caught.value.hint
    assert "canary" not in f"{caught.value.message} {caught.value.hint} {caught.value.details} {bench.lines}"


async def test_what_one_team_fetched_is_not_given_to_another(registry: Registry, base: str, bench: Any) -> None:
    """DOC-10: the engine has the layers by then, and still asks the registry who may have them."""
    await build(bench, base, registry.login, cache_key=f"mine-{bench.id}")
    with pytest.raises(BaseImageUnavailable) as caught:
        await build(bench, base, cache_key=f"theirs-{bench.id}")
    assert f"orc credentials add-registry {registry.address}" in caught.value.hint


async def test_what_the_engine_has_is_given_to_those_who_are_let_in(registry: Registry, base: str, bench: Any) -> None:
    """An image that one team's service was made from lies on the engine for all; the registry says who may have it."""
    subprocess.run(["docker", "tag", bench.shell_image(), base], check=True)
    guarded = {"guarded_registries": frozenset({registry.address})}
    await build(bench, base, registry.login, cache_key=f"mine-{bench.id}", **guarded)
    for logins in ((), (RegistryLogin(registry.address, "orca", "canary-wrong"),)):
        with pytest.raises(BaseImageUnavailable) as caught:
            await build(bench, base, *logins, cache_key=f"theirs-{bench.id}", **guarded)
        assert "canary-wrong" not in f"{caught.value.message} {caught.value.hint} {caught.value.details}"


async def test_what_only_this_machine_reaches_is_not_fetched(bench: Any) -> None:
    tree = bench.tree({"Dockerfile": "FROM scratch\nADD http://169.254.169.254/latest/meta-data /x\n"})
    with pytest.raises(AddressForbidden, match="line 2"):
        await DockerfileBuilder(bench.client).build(bench.request(tree), bench.log)
    assert not any("build" in command.argv and "--help" not in command.argv for command in bench.commands)
