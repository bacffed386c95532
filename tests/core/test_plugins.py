"""Providers are found by entry points; one that cannot be used is left out, with the reason, and stops none of the others."""

import tomllib
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.plugins.packages import PROVIDER, write_package

from orca.errors import ProviderUnusable
from orca.features.services.schemas.settings import BuildOptions
from orca.features.services.steps.find_builder import find_builder
from orca.plugins import FAMILIES, PACKAGE, Plugins, UnusableBuilder, check_builder, load_plugins
from orca.sdk.testing.builders import FakeBuilder

BUILT_IN = {
    "engines": {"docker"}, "containers": {"docker"}, "proxies": {"caddy"}, "connectors": {"local"},
    "builders": {"buildpacks", "dockerfile", "template"},
}  # fmt: skip


def names_of(plugins: Plugins) -> dict[str, set[str]]:
    return {family: set(getattr(plugins, family)) for family in FAMILIES}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are found in."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_load_plugins_without_packages_has_the_built_in_ones():
    plugins = load_plugins()
    assert (names_of(plugins), plugins.unused) == (BUILT_IN, [])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == PACKAGE
    assert names_of(plugins) == {family: set(project["entry-points"][f"orca.{family}"]) for family in FAMILIES}


@pytest.mark.parametrize("more", ["", "sdk_version = 1"])
def test_load_plugins_package_that_fits_is_used(site: Path, more: str) -> None:
    write_package(
        site, f"orca-fits{len(more)}", "orca.engines cloud Provider", PROVIDER.format(name="cloud", more=more)
    )
    plugins = load_plugins()
    assert plugins.unused == []
    assert plugins.choose("engines", "cloud") is plugins.engines["cloud"]


@pytest.mark.parametrize(
    ("package", "entry_point", "source", "reason"),
    [
        ("orca-raises", "orca.engines cloud Provider", "raise RuntimeError('no\\nlibrary')",
         "cannot be imported (RuntimeError: no library)"),
        ("orca-exits", "orca.engines cloud Provider", "raise SystemExit(3)", "cannot be imported (SystemExit: 3)"),
        ("orca-gone", "orca.engines cloud Provider", "", "cannot be imported (AttributeError: "),
        ("orca-old", "orca.engines cloud Provider", PROVIDER.format(name="cloud", more="sdk_version = 0"),
         "is made for version 0 of the SDK, and this Orca has version 1"),
        ("orca-config", "orca.proxies cloud Provider", PROVIDER.format(name="cloud", more="Config = dict"),
         "has no pydantic model as its `Config`"),
        ("orca-closed", "orca.proxies cloud Provider", PROVIDER.format(name="cloud", more="") + "\n    del Provider.open",
         "is no class with a method `open`"),
        ("orca-instance", "orca.proxies cloud Provider", PROVIDER.format(name="cloud", more="") +
         "\n    Provider = Provider()", "is no class with a method `open`"),
        ("orca-other-name", "orca.builders cloud Provider", PROVIDER.format(name="template", more=""),
         "has another `name` than its entry point: template"),
        ("orca-unordered", "orca.builders cloud Provider", PROVIDER.format(name="cloud", more="order = 'first'"),
         "has no number as its `order`"),
    ],
)  # fmt: skip
def test_load_plugins_package_that_cannot_be_used_is_left_out_with_the_reason(
    site: Path, package: str, entry_point: str, source: str, reason: str
) -> None:
    write_package(site, package, entry_point, source)
    plugins = load_plugins()
    assert names_of(plugins) == BUILT_IN
    (unused,) = plugins.unused
    assert unused.message.startswith(f"The {FAMILIES[unused.family]} “cloud” of the package {package} 1.0 {reason}")
    with pytest.raises(ProviderUnusable) as caught:
        plugins.choose(unused.family, "cloud")
    assert (caught.value.message, caught.value.hint) == (unused.message, unused.remedy)


@pytest.mark.parametrize("name", ["Cloud", "a" * 33])
def test_load_plugins_builder_whose_name_users_cannot_write_is_left_out(site: Path, name: str) -> None:
    write_package(
        site, f"orca-named-{len(name)}", f"orca.builders {name} Provider", PROVIDER.format(name=name, more="")
    )
    (unused,) = load_plugins().unused
    assert "has no name of lower-case letters, digits and dashes" in unused.reason


def test_load_plugins_name_of_a_built_in_provider_the_built_in_one_is_used(site: Path) -> None:
    write_package(site, "a-rival", "orca.proxies caddy Provider", PROVIDER.format(name="caddy", more=""))
    plugins = load_plugins()
    assert plugins.proxies["caddy"].__module__.startswith("orca.providers.")
    (unused,) = plugins.unused
    assert unused.package == "a-rival 1.0"
    assert f"its name is also that of {PACKAGE} " in unused.message


def test_load_plugins_two_packages_with_one_name_neither_is_used(site: Path) -> None:
    for package in ("orca-one", "orca-two"):
        write_package(site, package, "orca.proxies cloud Provider", PROVIDER.format(name="cloud", more=""))
    plugins = load_plugins()
    assert names_of(plugins) == BUILT_IN
    said = {each.package: each.message for each in plugins.unused}
    assert said.keys() == {"orca-one 1.0", "orca-two 1.0"}
    assert "its name is also that of orca-two 1.0" in said["orca-one 1.0"]
    with pytest.raises(ProviderUnusable, match="its name is also that of"):
        plugins.choose("proxies", "cloud")


def test_plugins_choose_not_installed_says_what_is():
    with pytest.raises(ProviderUnusable, match="“podman” is not installed") as caught:
        load_plugins().choose("engines", "podman")
    assert "choose one that is installed: docker." in caught.value.hint


async def test_check_builder_refuses_what_is_not_there_or_cannot_be_used(tmp_path: Path) -> None:
    broken = UnusableBuilder(ProviderUnusable("It is broken.", hint="Mend it."))
    builders = {"fake": FakeBuilder(), "broken": broken}
    check_builder(builders, "fake")
    with pytest.raises(ProviderUnusable, match="is not installed"):
        check_builder(builders, "gone")
    with pytest.raises(ProviderUnusable, match="It is broken"):
        check_builder(builders, "broken")
    with pytest.raises(ProviderUnusable, match="It is broken"):
        await broken.detect(tmp_path)


async def test_find_builder_one_that_built_before_and_is_gone_is_missed(tmp_path: Path) -> None:
    """Another one must not make something else go live; a builder that is named is taken."""
    (tmp_path / "fake.build").write_text("say hello")
    broken = UnusableBuilder(ProviderUnusable("It is broken."))
    builders = {"fake": FakeBuilder(), "broken": broken}
    for before in ("", "fake", "image"):
        found = await find_builder(builders, tmp_path, BuildOptions(), before=before)
        assert isinstance(found, tuple)
    with pytest.raises(ProviderUnusable, match="“gone” is not installed"):
        await find_builder(builders, tmp_path, BuildOptions(), before="gone")
    with pytest.raises(ProviderUnusable, match="It is broken"):
        await find_builder(builders, tmp_path, BuildOptions(), before="broken")
    builders["template"] = builders.pop("fake")
    assert await find_builder(builders, tmp_path, BuildOptions(builder="template"), before="gone")
