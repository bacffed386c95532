"""Names of secrets and labels."""

import pytest

from orca.providers.builders.buildkit.checks import check_labels
from orca.providers.builders.buildkit.errors import LabelReserved
from orca.sdk.builders import is_secret_like


@pytest.mark.parametrize(
    "name",
    [
        "NPM_TOKEN",
        "token",
        "DB_PASSWORD",
        "SECRET",
        "aws_secret_access_key",
        "API_KEY",
        "MYSQL_PASS",
        "GOOGLE_CREDENTIALS",
    ],
)
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert is_secret_like(name)


@pytest.mark.parametrize(
    "name",
    [
        "NODE_ENV",
        "TOKENIZER",
        "KEYBOARD",
        "STRIPE_PUBLIC_KEY",
        "PUBLISHABLE_KEY",
        "VERSION",
        "MONKEY",
        "COMPASS",
        "BYPASS",
    ],
)
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_like(name)


def test_labels_that_steer_the_host_are_refused() -> None:
    check_labels({"maintainer": "x", "orca.build": "1", "org.opencontainers.image.title": "x"}, {"orca.build": "1"})
    for name in (
        "traefik.http.x",
        "Traefik.Enable",
        "caddy",
        "caddy_0",
        "com.docker.compose.project",
        "io.containerd.x",
        "orca.team",
    ):
        with pytest.raises(LabelReserved, match=name):
            check_labels({name: "x"}, {"orca.build": "1"})
