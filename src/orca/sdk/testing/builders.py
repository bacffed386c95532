# ruff: noqa: S101 - assertions are what a test suite is made of
"""The conformance suite of builders, and a fake builder without an engine for other tests.

A provider's author writes::

    class TestMyBuilder(BuilderConformance):
        @pytest.fixture
        async def builder(self):
            async with MyBuilderProvider().open(MyConfig(...), connector) as builder:
                yield builder

        @pytest.fixture
        def samples(self, tmp_path):
            return BuilderSamples(good=..., failing=..., slow=..., foreign=...)

The suite needs pytest and pytest-asyncio in `auto` mode.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

from orca.errors import DeadlineExceeded, StepFailed
from orca.sdk.builders import Builder, BuildRequest, BuiltImage, Detection, Log
from orca.sdk.connectors import Connector
from orca.sdk.testing.trials import STOPPED_SOON
from orca.sdk.trees import Tree


@dataclass(frozen=True, slots=True)
class BuilderSamples:
    """Requests for the suite: each call returns a new tree and a new build id."""

    good: Callable[[], BuildRequest]
    """Builds in seconds."""
    failing: Callable[[], BuildRequest]
    """Is detected, and fails."""
    slow: Callable[[], BuildRequest]
    """Prints a line that ends with the word `begun`, and then runs for minutes."""
    foreign: Callable[[], Path]
    """A tree that this builder does not recognise."""


class BuilderConformance:
    """Subclass it and define the fixtures `builder` and `samples`."""

    async def test_detection_is_something_a_person_can_check(self, builder: Builder, samples: BuilderSamples) -> None:
        """Text, summary and evidence; and looking changes nothing."""
        tree = samples.good().tree
        before = _contents(tree)
        found = await builder.detect(tree)
        assert isinstance(found, Detection)
        assert found.summary
        assert "FROM" in found.dockerfile
        assert found.evidence
        assert set(found.evidence) <= before.keys()
        assert _contents(tree) == before

    async def test_a_foreign_tree_is_nothing(self, builder: Builder, samples: BuilderSamples) -> None:
        """No guessing."""
        assert await builder.detect(samples.foreign()) is None

    async def test_a_build_gives_an_image_and_a_log(self, builder: Builder, samples: BuilderSamples) -> None:
        """The least a builder does."""
        lines: list[str] = []
        request = samples.good()
        image = await builder.build(request, _keep(lines))
        assert image.id
        assert image.tag == request.tag
        assert image.size_bytes > 0
        assert lines

    async def test_a_finished_build_is_not_done_again(self, builder: Builder, samples: BuilderSamples) -> None:
        """After a crash the same request is made again; it must find what it made."""
        request = samples.good()
        first = await builder.build(request, _keep([]))
        assert await builder.build(request, _keep([])) == first
        other = await builder.build(replace(samples.good(), cache_key=request.cache_key), _keep([]))
        assert other.tag != first.tag

    async def test_a_failure_names_its_cause_and_the_next_step(self, builder: Builder, samples: BuilderSamples) -> None:
        """Errors teach."""
        with pytest.raises(StepFailed) as caught:
            await builder.build(samples.failing(), _keep([]))
        assert caught.value.message
        assert caught.value.hint

    async def test_a_deadline_ends_the_build(self, builder: Builder, samples: BuilderSamples) -> None:
        """No build runs for ever."""
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await builder.build(replace(samples.slow(), deadline=3.0), _keep([]))
        assert time.monotonic() - started < 3.0 + STOPPED_SOON

    async def test_cancelling_ends_the_build(self, builder: Builder, samples: BuilderSamples) -> None:
        """And the cancellation goes on, so that the caller ends too."""
        begun = asyncio.Event()

        async def log(line: str) -> None:
            if line.endswith("begun"):
                begun.set()

        task = asyncio.create_task(builder.build(samples.slow(), log))
        async with asyncio.timeout(120):
            await begun.wait()
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - started < STOPPED_SOON


def _keep(lines: list[str]) -> Log:
    async def log(line: str) -> None:
        lines.append(line)

    return log


def _contents(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


class FakeConfig(BaseModel):
    """Nothing to set."""


class FakeBuilder:
    """Builds trees with a `fake.build`: lines `say TEXT`, `wait SECONDS`, `fail MESSAGE`. Stores its images."""

    def __init__(self) -> None:
        self.images: dict[str, BuiltImage] = {}
        """By build id."""
        self.requests: list[BuildRequest] = []

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | None:
        """The script, if there is one."""
        del options
        script = await asyncio.to_thread(Tree(tree).find_text, "fake.build")
        if script is None:
            return None
        return Detection("fake", "fake", "Fake", f"FROM scratch\n# {script}", port=8080, evidence=("fake.build",))

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Follow the script."""
        self.requests.append(request)
        if request.id not in self.images:
            script = await asyncio.to_thread(Tree(request.tree).read_text, "fake.build")
            try:
                async with asyncio.timeout(request.deadline):
                    await self._follow(script, log)
            except TimeoutError:
                raise DeadlineExceeded("The build took too long.", hint="Wait less.") from None
            digest = hashlib.sha256(f"{request.id}{script}".encode()).hexdigest()
            self.images[request.id] = BuiltImage(f"sha256:{digest}", request.tag, len(script) + 1)
        return self.images[request.id]

    async def _follow(self, script: str, log: Log) -> None:
        for line in script.splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "say":
                await log(rest)
            elif verb == "wait":
                await asyncio.sleep(float(rest))
            elif verb == "fail":
                raise StepFailed(rest, hint="Take the line out of fake.build.")


class FakeBuilderProvider:
    """Opens one and the same fake builder."""

    name: ClassVar[str] = "fake"
    Config: ClassVar[type[BaseModel]] = FakeConfig
    order: ClassVar[int] = 1

    def __init__(self) -> None:
        self.builder = FakeBuilder()

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[FakeBuilder]:
        """There is nothing to connect to."""
        del config, connector
        yield self.builder
