"""Which logins a build gets, and how docker is told."""

import base64
import json

import pytest

from orca.providers.builders.buildkit.failures import FailedBuild, explain_step
from orca.providers.builders.buildkit.logins import choose_logins, render_config, words_of
from orca.providers.builders.buildkit.progress import Step
from orca.sdk.containers import RegistryLogin
from orca.sdk.images import is_guarded, registry_of


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("alpine", "docker.io"),
        ("acme/app:1", "docker.io"),
        ("docker.io/library/alpine:3", "docker.io"),
        ("index.docker.io/acme/app", "docker.io"),
        ("GHCR.io/acme/app@sha256:00", "ghcr.io"),
        ("localhost/app", "localhost"),
        ("127.0.0.1:5000/app:1", "127.0.0.1:5000"),
    ],
)
def test_registries_of_images(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_a_build_gets_the_first_login_of_each_registry_it_needs() -> None:
    new, old = RegistryLogin("https://ghcr.io", "new", "n:1"), RegistryLogin("ghcr.io", "old", "o")
    hub, other = RegistryLogin("index.docker.io", "hub", "h"), RegistryLogin("quay.io", "q", "q")
    chosen = choose_logins([new, old, hub, other], ["ghcr.io/acme/app", "alpine:3"])
    assert chosen == {"ghcr.io": new, "docker.io": hub}
    auths = json.loads(render_config(chosen))["auths"]
    assert {name: base64.b64decode(auth["auth"]).decode() for name, auth in auths.items()} == {
        "ghcr.io": "new:n:1",
        "https://index.docker.io/v1/": "hub:h",
    }
    assert set(words_of(chosen.values())) == {"n:1", "h", auths["ghcr.io"]["auth"], auths["https://index.docker.io/v1/"]["auth"]}  # fmt: skip
    assert choose_logins([new], ["alpine"]) == {}


@pytest.mark.parametrize(
    ("observed", "hint"),
    [
        (FailedBuild(registry="r.example"), "orc credentials add-registry r.example"),
        (FailedBuild(registry="r.example", username="me"), "Logging in to r.example as me fails"),
        (FailedBuild(registry="r.example", username="me", login_works=True), "r.example accepts the login of me"),
        (FailedBuild(registry="r.example", registry_known=False), "cannot be resolved"),
    ],
)
def test_a_base_image_that_is_not_given_out_says_what_to_do(observed: FailedBuild, hint: str) -> None:
    error = explain_step(Step("[internal] load metadata for r.example/app:1", error="401"), observed)
    assert error.code == "base-image-unavailable"
    assert hint in error.hint


@pytest.mark.parametrize(
    ("image", "guarded"),
    [
        ("ghcr.io/acme/app", True),
        ("quay.io/acme/app", False),
        ("acme/app:1", True),
        ("docker.io/acme/app", True),
        ("alpine", False),
        ("docker.io/library/alpine", False),
        ("index.docker.io/alpine", False),
        ("acmelibrary/secret:1", True),
        ("docker.io/acmelibrary/secret:1", True),
        ("docker.io/acme/library/app", True),
        ("orca-caddy:2", False),
    ],
)
def test_images_of_registries_with_logins_are_asked_for(image: str, guarded: bool) -> None:
    assert is_guarded(image, {"ghcr.io", "index.docker.io"}) is guarded
