"""The providers pass the suites of the SDK. Run with pytest and pytest-asyncio, in an environment with Orca."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from orca_example.builder import ExampleBuilder, ExampleBuilderProvider
from orca_example.engine import ExampleEngine, ExampleEngineProvider
from orca_example.host import ExampleConfig, ExampleHost, ExampleHostProvider
from orca_example.proxy import ExampleProxy, ExampleProxyConfig, ExampleProxyProvider

from orca.sdk.builders import BuildRequest, BuiltImage
from orca.sdk.testing.builders import BuilderConformance, BuilderSamples
from orca.sdk.testing.connectors import FakeConnector
from orca.sdk.testing.containers import ContainerHostConformance
from orca.sdk.testing.engines import EngineConformance
from orca.sdk.testing.proxies import ProxyConformance

IMAGE = f"sha256:{'1' * 64}"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[ExampleHost]:
    """A host with one image."""
    async with ExampleHostProvider().open(ExampleConfig(data_dir=tmp_path), FakeConnector()) as opened:
        opened.keep(BuiltImage(IMAGE, "hello:1", 1), {})
        yield opened


@pytest.fixture
def image() -> str:
    """The id of that image."""
    return IMAGE


class TestExampleHost(ContainerHostConformance):
    """On the fixture `host`."""


class TestExampleEngine(EngineConformance):
    """On the host of the same name."""

    @pytest.fixture
    async def engine(self, host: ExampleHost, tmp_path: Path) -> AsyncIterator[ExampleEngine]:
        """An engine without replicas."""
        config = ExampleConfig(data_dir=tmp_path)
        async with ExampleEngineProvider().open(config, FakeConnector(), host) as opened:
            yield opened


class TestExampleProxy(ProxyConformance):
    """In a folder of its own."""

    @pytest.fixture
    async def proxy(self, tmp_path: Path) -> AsyncIterator[ExampleProxy]:
        """A proxy that does not run yet."""
        async with ExampleProxyProvider().open(ExampleProxyConfig(data_dir=tmp_path), FakeConnector()) as opened:
            yield opened


class TestExampleBuilder(BuilderConformance):
    """With scripts that succeed, fail and take long."""

    @pytest.fixture
    async def builder(self, tmp_path: Path) -> AsyncIterator[ExampleBuilder]:
        """A builder for an empty host."""
        async with ExampleBuilderProvider().open(ExampleConfig(data_dir=tmp_path), FakeConnector()) as opened:
            yield opened

    @pytest.fixture
    def samples(self, tmp_path: Path) -> BuilderSamples:
        """New trees and ids at each call."""

        def tree(name: str, text: str) -> Path:
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            (folder / name).write_text(text)
            return folder

        def request(text: str) -> BuildRequest:
            build_id = uuid.uuid4().hex
            return BuildRequest(build_id, tree("fake.build", text), f"example:{build_id}", {}, "key")

        return BuilderSamples(
            good=lambda: request("say hello\n"),
            failing=lambda: request("fail no\n"),
            slow=lambda: request("say begun\nwait 600\n"),
            foreign=lambda: tree("README.md", ""),
        )


async def test_host_keeps_its_images_over_a_restart(tmp_path: Path) -> None:
    """Another process finds what was built; what was removed stays away."""
    first = ExampleHost(tmp_path)
    first.keep(BuiltImage(IMAGE, "hello:1", 7), {"orca.service": "s"})
    (found,) = await ExampleHost(tmp_path).list_images({"orca.service": "s"})
    assert (found.id, found.tags, found.size_bytes) == (IMAGE, ("hello:1",), 7)
    assert await first.remove_image("hello:1")
    assert await ExampleHost(tmp_path).list_images({}) == []
