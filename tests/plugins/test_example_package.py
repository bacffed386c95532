"""The package in `examples/providers`, installed by pip beside Orca: it serves, is missed when it is gone, and goes on."""

import ast
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Panel, copy_schema, make_panel, until
from tests.plugins.packages import DEMANDING, EXAMPLE, PROVIDER, Environment, build_wheel, write_package
from tests.sites import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PACKAGE = "orca-example-providers"
SCRIPT: dict[str, str | bytes] = {"fake.build": "say built by a plugin\n"}
FIELDS = {"type": "web", "health": {"type": "none"}}
ALLOWED = ("orca.sdk", "orca.errors", "orca.kit")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, made = tmp_path_factory.mktemp("source") / "providers", tmp_path_factory.mktemp("wheel")
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    return build_wheel(source, made)


@pytest.fixture
def environment(tmp_path: Path, wheel: Path) -> Environment:
    made = Environment.make(tmp_path / "environment")
    made.install(wheel)
    return made


@pytest.fixture
def panel(tmp_path: Path, schema: Path, environment: Environment) -> Iterator[Panel]:
    """A panel that is to use the example's providers; it is not started yet."""
    made = make_panel(tmp_path / "panel", ORC_ENGINE_NAME="example", ORC_PROXY_NAME="example")
    made.python = environment.python
    yield copy_schema(schema, made)
    made.stop()


def start(panel: Panel) -> None:
    panel.start()
    panel.wait_ready()


def restart(panel: Panel) -> None:
    panel.stop()
    start(panel)


def routes_of(panel: Panel) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((panel.data_dir / "proxy" / "routes.json").read_text())
    return found


def local_of(panel: Panel) -> dict[str, Any]:
    with panel.client() as http:
        found: dict[str, Any] = http.get("/api/v1/systems/local").json()
    return found


def doctor(environment: Environment, panel: Panel) -> dict[str, dict[str, str]]:
    said = environment.run("-m", "orca.server.doctor", "--json", **panel.env).stdout
    return {each["message"]: each for each in json.loads(said)}


def test_example_package_imports_only_what_plugins_may():
    for path in (EXAMPLE / "orca_example").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                is_ours = str(name).split(".")[0] == "orca"
                assert not is_ours or str(name).startswith(ALLOWED), f"{path.name}: {name}"


def test_example_package_passes_its_own_tests(environment: Environment, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "own" / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path / "own")
    done = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path / "own", **os.environ)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_example_package_serves_is_missed_and_goes_on(panel: Panel, environment: Environment, wheel: Path) -> None:
    start(panel)
    site = Site(panel, fields={**FIELDS, "build": {"builder": "example"}}).create()
    first = site.go_live(SCRIPT)
    assert "An example (builder: example)" in site.log_of(first["id"])
    assert "built by a plugin" in site.log_of(first["id"])
    assert [each["state"] for each in site.containers()] == ["running"]
    (upstream,) = routes_of(panel)[f"{site.hostname}/"]
    assert upstream.startswith("10.213.")
    assert (local_of(panel)["engine"], local_of(panel)["proxy"], local_of(panel)["problems"]) == ("example",) * 2 + (
        [],
    )

    environment.uninstall(PACKAGE)
    restart(panel)
    assert_missed(panel, environment, site)
    failed = site.wait(site.deploy(SCRIPT))
    assert failed["state"] == "failed"
    assert "“example” is not installed" in failed["reason"]
    assert "Install the package" in failed["hint"]

    environment.install(wheel)
    restart(panel)
    assert local_of(panel)["problems"] == []
    until(lambda: [each["state"] for each in site.containers()] == ["running"], what="the service runs again")
    until(lambda: routes_of(panel).get(f"{site.hostname}/"), what="the service is routed again")
    assert site.go_live(SCRIPT)["number"] > failed["number"]
    assert "Traceback" not in panel.log


def assert_missed(panel: Panel, environment: Environment, site: Site) -> None:
    """Each place says which providers are missing, and what was there is still known."""
    said, found = local_of(panel)["problems"], doctor(environment, panel)
    for what in ("engine", "proxy"):
        sentence = f"The {what} “example” is not installed."
        assert any(each.startswith(f"{sentence} Install the package") for each in said), said
        assert sentence in panel.log
        assert found[sentence]["state"] == "problem"
    with panel.client() as http:
        assert "is not installed" in http.get("/systems/local").text
        assert "is not installed" in http.get("/systems").text
    assert site.get(f"/api/v1/services/{site.id}")["name"] == site.name
    assert len(site.get(f"/api/v1/services/{site.id}/deployments")["items"]) >= 1


def test_packages_that_cannot_be_used_are_reported_and_stop_none_of_the_others(
    panel: Panel, environment: Environment
) -> None:
    there = environment.site
    write_package(there, "orca-broken", "orca.builders broken Provider", "raise RuntimeError('a library is missing')")
    write_package(there, "orca-rival", "orca.proxies caddy Provider", PROVIDER.format(name="caddy", more=""))
    write_package(
        there, "orca-future", "orca.engines future Provider", PROVIDER.format(name="f", more="sdk_version = 9")
    )
    write_package(there, "orca-demanding", "orca.builders demanding Provider", DEMANDING)
    start(panel)
    assert Site(panel, fields=FIELDS).create().go_live(SCRIPT)["state"] == "succeeded"
    with panel.client() as http:
        listed = http.get("/api/v1/systems").json()
        page = http.get("/systems").text
    reasons = {each["package"]: each["reason"] for each in listed["unused_providers"]}
    assert "cannot be imported (RuntimeError: a library is missing)" in reasons["orca-broken 1.0"]
    assert "its name is also that of orca-platform" in reasons["orca-rival 1.0"]
    assert "is made for version 9 of the SDK" in reasons["orca-future 1.0"]
    (demanding,) = [each for each in listed["items"][0]["problems"] if "orca-broken" not in each]
    assert "The builder “demanding” of the system “local” is not configured well: licence: Field required." in demanding
    found = doctor(environment, panel)
    for reason in reasons.values():
        assert reason in panel.log
        assert found[reason]["state"] == "warning"
        assert found[reason]["remedy"]
        assert reason.split(" (")[0] in page
    assert any("licence" in message for message in found)
