"""The fake builder behaves like a real one, and the suite notices one that does not."""

import uuid
from pathlib import Path

import pytest

from orca.sdk.builders import BuildRequest, BuiltImage
from orca.sdk.testing.builders import BuilderConformance, BuilderSamples, FakeBuilder, FakeBuilderProvider
from orca.sdk.testing.connectors import FakeConnector

pytestmark = pytest.mark.slow


def samples_in(home: Path) -> BuilderSamples:
    def tree(name: str, text: str) -> Path:
        folder = home / uuid.uuid4().hex
        folder.mkdir()
        (folder / name).write_text(text)
        return folder

    def request(text: str) -> BuildRequest:
        build_id = uuid.uuid4().hex
        return BuildRequest(build_id, tree("fake.build", text), f"fake:{build_id}", {}, "key")

    return BuilderSamples(
        good=lambda: request("say hello\n"),
        failing=lambda: request("fail no\n"),
        slow=lambda: request("say begun\nwait 600\n"),
        foreign=lambda: tree("README.md", ""),
    )


class TestFakeBuilder(BuilderConformance):
    @pytest.fixture
    async def builder(self):
        provider = FakeBuilderProvider()
        async with provider.open(provider.Config(), FakeConnector()) as builder:
            yield builder

    @pytest.fixture
    def samples(self, tmp_path):
        return samples_in(tmp_path)


class ForgetfulBuilder(FakeBuilder):
    """Builds again what it has built."""

    async def build(self, request, log):
        built = await super().build(request, log)
        self.images.clear()
        return BuiltImage(f"{built.id}{len(self.requests)}", built.tag, built.size_bytes)


class HastyBuilder(FakeBuilder):
    """Says that it is done without doing anything."""

    async def build(self, request, log):
        await log("begun")
        return BuiltImage("id", request.tag, 1)


class SilentBuilder(FakeBuilder):
    """Tells nothing."""

    async def build(self, request, log):
        async def nothing(line):
            pass

        return await super().build(request, nothing)


@pytest.mark.parametrize(
    ("builder", "test"),
    [
        (ForgetfulBuilder(), "test_a_finished_build_is_not_done_again"),
        (HastyBuilder(), "test_a_deadline_ends_the_build"),
        (HastyBuilder(), "test_cancelling_ends_the_build"),
        (HastyBuilder(), "test_a_failure_names_its_cause_and_the_next_step"),
        (SilentBuilder(), "test_a_build_gives_an_image_and_a_log"),
    ],
)
async def test_the_suite_notices_a_builder_that_breaks_its_promise(builder, test, tmp_path):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await getattr(BuilderConformance(), test)(builder, samples_in(tmp_path))
