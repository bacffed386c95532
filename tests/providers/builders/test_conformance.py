"""Both builders keep the promises of their family, on a real engine."""

from typing import Any

import pytest

from orca.providers.builders.dockerfile import DockerfileBuilderProvider
from orca.providers.builders.template import TemplateBuilderProvider
from orca.providers.connectors.local import LocalConnector
from orca.sdk.testing.builders import BuilderConformance, BuilderSamples

pytestmark = pytest.mark.docker

BASE = 'FROM scratch\nCOPY busybox /bin/busybox\nSHELL ["/bin/busybox", "sh", "-c"]\n'


class TestDockerfileBuilder(BuilderConformance):
    @pytest.fixture
    async def builder(self):
        provider = DockerfileBuilderProvider()
        async with provider.open(provider.Config(), LocalConnector()) as builder:
            yield builder

    @pytest.fixture
    def samples(self, bench: Any) -> BuilderSamples:
        def request(text: str) -> Any:
            return bench.request(bench.tree({"Dockerfile": BASE + text}, busybox=True))

        return BuilderSamples(
            good=lambda: request("RUN echo hello\n"),
            failing=lambda: request("RUN exit 3\n"),
            slow=lambda: request("RUN echo begun; /bin/busybox sleep 600\n"),
            foreign=lambda: bench.tree({"main.py": ""}),
        )


class TestTemplateBuilder(BuilderConformance):
    @pytest.fixture
    async def builder(self):
        provider = TemplateBuilderProvider()
        async with provider.open(provider.Config(), LocalConnector()) as builder:
            yield builder

    @pytest.fixture
    def samples(self, bench: Any) -> BuilderSamples:
        base = bench.shell_image()

        def python(command: str) -> Any:
            tree = bench.tree({"requirements.txt": "", "main.py": ""})
            return bench.request(tree, options={"base": base, "build": command})

        return BuilderSamples(
            good=lambda: bench.request(bench.tree({"index.html": "hello"})),
            failing=lambda: python("exit 3"),
            slow=lambda: python("echo begun; sleep 600"),
            foreign=lambda: bench.tree({"README.md": ""}),
        )
