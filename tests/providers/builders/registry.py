"""Debian's docker-registry with one account, and images that only it has."""

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import docker_client, free_port
from tests.providers.engines.docker.test_pull import ACCOUNT, CONFIG, PASSWORD, await_port

from orca.sdk.containers import RegistryLogin


@dataclass(frozen=True)
class Registry:
    address: str
    folder: Path

    @property
    def login(self) -> RegistryLogin:
        return RegistryLogin(self.address, "orca", PASSWORD)

    def take(self, image: str) -> str:
        """Push an image; the name under which the registry has it, and the engine does not."""
        name = f"{self.address}/team/base-{secrets.token_hex(4)}:1"
        auth = base64.b64encode(f"orca:{PASSWORD}".encode()).decode()
        (self.folder / "config.json").write_text(json.dumps({"auths": {self.address: {"auth": auth}}}))
        for arguments in (["tag", image, name], ["push", "--quiet", name], ["rmi", name]):
            env = {**os.environ, "DOCKER_CONFIG": str(self.folder)}
            done = subprocess.run([docker_client(), *arguments], capture_output=True, text=True, check=False, env=env)
            assert done.returncode == 0, done.stderr
        return name


@contextmanager
def running_registry(folder: Path) -> Iterator[Registry]:
    folder.mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    (folder / "accounts").write_text(f"{ACCOUNT}\n")
    (folder / "registry.yml").write_text(CONFIG.format(folder=folder, address=address))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(folder / "registry.yml")], stderr=log, stdout=log)
    try:
        await_port(int(address.rpartition(":")[2]))
        yield Registry(address, folder)
    finally:
        process.terminate()
        process.wait(10)
