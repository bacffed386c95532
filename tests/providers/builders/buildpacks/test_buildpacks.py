"""Cloud Native Buildpacks, tried with a small builder image that keeps the lifecycle's contract (standin.py)."""

import shutil
import subprocess

import pytest
from tests.providers.builders.buildpacks.standin import make_images
from tests.providers.builders.conftest import docker

from orca.errors import BadInput
from orca.features.services.schemas.settings import BuildOptions
from orca.features.services.steps.find_builder import find_builder
from orca.providers.builders.buildkit.errors import BaseImageUnavailable, BuildFailed
from orca.providers.builders.buildpacks import BuildpacksBuilder, BuildpacksBuilderProvider
from orca.providers.builders.buildpacks.builder import NoBuildpackFits
from orca.providers.builders.buildpacks.config import BuildpacksConfig, BuildpacksOptions
from orca.providers.builders.buildpacks.dockerfile import render_dockerfile
from orca.providers.connectors.local import LocalConnector
from orca.sdk.testing.builders import BuilderConformance, BuilderSamples

CONFIG = BuildpacksConfig(builder_image="example.org/builder:1", run_image="example.org/run:1")
WEB = {"web.sh": "hello visitor; cat made-by-buildpack; id -u; pwd\n"}
SECRET = "canary-5b1e-npm"


def build_by_hand(tree, tag):
    client = next(path for path in ("/usr/bin/docker", "docker") if shutil.which(path))
    command = [client, "build", "--quiet", "--label", f"orca.test={tag.split(':')[0][10:]}", "--tag", tag, str(tree)]
    subprocess.run(command, check=True, capture_output=True, env={"DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin"})


@pytest.fixture
def images(bench):
    return make_images(bench, build_by_hand)


@pytest.fixture
async def builder(images):
    provider = BuildpacksBuilderProvider()
    config = provider.Config(builder_image=images[0], run_image=images[1])
    async with provider.open(config, LocalConnector()) as builder:
        yield builder


@pytest.mark.docker
class TestBuildpacks(BuilderConformance):
    @pytest.fixture
    def samples(self, bench) -> BuilderSamples:
        def request(command=""):
            return bench.request(bench.tree({**WEB, **({"build.sh": command} if command else {})}))

        return BuilderSamples(
            good=request,
            failing=lambda: request("exit 3"),
            slow=lambda: request("echo begun; sleep 600"),
            foreign=lambda: bench.tree({}),
        )


@pytest.mark.docker
async def test_the_image_is_what_the_exporter_would_have_made(bench, builder):
    request = bench.request(
        bench.tree(WEB),
        arguments={"BP_FLAVOUR": "it's $HOME"},
        secrets={"NPM_TOKEN": SECRET},
        secret_marks={"NPM_TOKEN": "1"},
    )
    built = await builder.build(request, bench.log)
    config = bench.inspect(built.tag)["Config"]
    assert config["Entrypoint"] == ["/cnb/process/web"]
    assert not config["Cmd"]
    assert (config["WorkingDir"], config["User"]) == ("/workspace", "1001:1000")
    environment = dict(each.split("=", 1) for each in config["Env"])
    assert environment["PATH"] == "/cnb/process:/bin"
    assert (environment["CNB_LAYERS_DIR"], environment["CNB_APP_DIR"]) == ("/layers", "/workspace")
    said = docker("run", "--rm", "--network=none", built.tag)
    assert said.splitlines() == [
        "runtime for visitor", f"BP_FLAVOUR is it's $HOME, PATH is /bin, the token has {len(SECRET)} characters", "1001", "/workspace",
    ]  # fmt: skip
    kept = docker("run", "--rm", "--network=none", "--entrypoint=/bin/ls", built.tag, "/", "/layers/test_app")
    assert {"runtime", "compiler", "modules", "platform"} & set(kept.split()) == {"runtime"}
    assert not any(name.endswith(".toml") for name in kept.split())
    everything = docker("image", "history", "--no-trunc", built.tag) + str(bench.inspect(built.tag)) + str(bench.lines)
    assert SECRET not in everything
    assert all(SECRET not in argument for command in bench.commands for argument in command.argv)
    assert built.warnings == ()


@pytest.mark.docker
async def test_what_the_lifecycle_ends_with_is_explained(bench, builder, images):
    with pytest.raises(NoBuildpackFits, match="recognises the source"):
        await builder.build(bench.request(bench.tree({"README.md": ""})), bench.log)
    with pytest.raises(BuildFailed, match="name no process web") as failure:
        await builder.build(bench.request(bench.tree({"other.sh": ""})), bench.log)
    assert "Procfile" in failure.value.hint
    assert any("There are: other" in line for line in bench.lines)
    request = bench.request(bench.tree({"other.sh": "echo other"}), options={"process": "other"})
    assert docker("run", "--rm", (await builder.build(request, bench.log)).tag) == "other"
    plain = {"builder": images[1], "run_image": images[1]}
    with pytest.raises(BuildFailed, match="is no builder image"):
        await builder.build(bench.request(bench.tree(WEB), options=plain), bench.log)


@pytest.mark.docker
async def test_a_registry_that_is_not_reached_is_no_fault_of_the_source(bench):
    async with BuildpacksBuilderProvider().open(
        BuildpacksConfig(builder_image="registry.invalid/b:1", run_image="registry.invalid/r:1"), LocalConnector()
    ) as builder:
        with pytest.raises(BaseImageUnavailable) as failure:
            await builder.build(bench.request(bench.tree(WEB)), bench.log)
    assert "registry.invalid/b:1" in failure.value.message
    assert "ORC_BUILDPACKS_BUILDER" in failure.value.hint
    assert "template" in failure.value.hint


async def test_buildpacks_are_never_found_but_chosen(tmp_path):
    (tmp_path / "anything.txt").touch()
    builders = {"buildpacks": BuildpacksBuilder(None, CONFIG)}
    assert await find_builder(builders, tmp_path, BuildOptions()) is None
    found = await find_builder(builders, tmp_path, BuildOptions(builder="buildpacks"))
    assert found[1].summary == "Cloud Native Buildpacks (example.org/builder:1)"
    assert found[1].evidence == ("anything.txt",)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"start": "x"}, "no option 'start'"),
        ({"builder": "a/b"}, "belong together"),
        ({"run_image": "a/b"}, "belong together"),
        ({"builder": "a\nRUN id", "run_image": "b"}, "cannot be"),
        ({"builder": "a b", "run_image": "b"}, "cannot be"),
        ({"process": "web; id"}, "cannot be"),
        ({"process": "../web"}, "cannot be"),
    ],
)
def test_options_become_no_lines_of_their_own(options, wrong):
    with pytest.raises(BadInput, match=wrong):
        BuildpacksOptions.parse(options, CONFIG)


def test_names_that_are_no_variables_are_left_out():
    chosen, names = (
        BuildpacksOptions.parse({"dockerfile": "Dockerfile"}, CONFIG),
        ["GOOD", "not-good", "a.b", "x;y", ""],
    )
    text = render_dockerfile(chosen, names, names)
    assert text.count('printf %s "$GOOD" > /platform/env/GOOD') == 1
    assert text.count("--mount=type=secret,id=GOOD,target=/platform/env/GOOD") == 2
    assert not any(name in text for name in ("not-good", "a.b", "x;y", "env/ "))
