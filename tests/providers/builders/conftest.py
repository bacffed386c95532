"""Real builds on the machine's Docker engine. What a test builds carries its own label and is removed afterwards."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orca.providers.builders.buildkit import BuildKitConfig, DockerClient
from orca.providers.connectors.local import LocalConnector
from orca.sdk.builders import BuildRequest
from orca.sdk.connectors import Command

BUSYBOX = """\
FROM scratch
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
RUN /bin/busybox --install -s /bin
ENV PATH=/bin
"""
"""A base with a shell and no registry. Needs `busybox` in the tree."""


def docker(*arguments: str, check: bool = True) -> str:
    return subprocess.run(["docker", *arguments], check=check, capture_output=True, text=True).stdout.strip()


@dataclass
class Bench:
    """One test's builds."""

    home: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    lines: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    builds: int = 0

    @property
    def client(self) -> DockerClient:
        return DockerClient(LocalConnector(self.commands.append), BuildKitConfig())

    async def log(self, line: str) -> None:
        self.lines.append(line)

    def tree(self, files: dict[str, str | bytes], *, busybox: bool = False) -> Path:
        """A fresh directory with these files."""
        self.builds += 1
        tree = self.home / f"tree{self.builds}"
        tree.mkdir()
        for name, content in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if busybox:
            shutil.copy("/bin/busybox", tree / "busybox")
        return tree

    def request(self, tree: Path, **changes: Any) -> BuildRequest:
        values: dict[str, Any] = {
            "id": uuid.uuid4().hex, "tree": tree, "tag": f"orca-test-{self.id}:{uuid.uuid4().hex[:8]}",
            "labels": {"orca.test": self.id}, "cache_key": f"key-{self.id}",
        }  # fmt: skip
        return BuildRequest(**{**values, **changes})

    def shell_image(self) -> str:
        """A base image with busybox, and a `python3` that does nothing; not built by Orca."""
        tree = self.tree({"python3": "#!/bin/sh\nmkdir -p /venv\n"}, busybox=True)
        (tree / "python3").chmod(0o755)
        (tree / "Dockerfile").write_text(BUSYBOX + "COPY python3 /bin/python3\n")
        tag = f"orca-test-{self.id}:shell"
        client = next(path for path in ("/usr/bin/docker", "docker") if shutil.which(path))
        command = [client, "build", "--quiet", "--label", f"orca.test={self.id}", "--tag", tag, str(tree)]
        subprocess.run(command, check=True, capture_output=True, env={"DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin"})
        return tag

    def inspect(self, reference: str) -> dict[str, Any]:
        return json.loads(docker("image", "inspect", reference))[0]

    def remove(self) -> None:
        images = set(docker("image", "ls", "-aq", "--filter", f"label=orca.test={self.id}").split())
        if images:
            docker("image", "rm", "--force", *images)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.remove()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows the log of its builds."""
    report = yield
    bench = getattr(item, "funcargs", {}).get("bench")
    if bench is not None and report.failed:
        report.sections.append(("build log", "\n".join(bench.lines)))
    return report
