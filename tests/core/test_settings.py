"""Settings: every variable of the deployment seed has its meaning, weak modes are refused."""

import pytest
from pydantic import ValidationError

from orca.settings import Settings


def test_the_variables_of_the_deployment_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = {
        "DATABASE_URL": "postgres://orc:pw@db:5432/orc?sslmode=disable",
        "ORC_HOST": "127.0.0.1",
        "ORC_PORT": "9000",
        "ORC_BASE_URL": "https://orc.example.org/",
        "ORC_AUTH_ENABLED": "true",
        "ORC_AUTH_TYPE": "token",
        "ORC_AUTH_TOKEN": "x" * 32,
        "ORC_OIDC_ISSUER": "https://id.example.org",
        "ORC_OIDC_CLIENT_ID": "orca",
        "ORC_OIDC_CLIENT_SECRET": "secret-value",
        "ORC_LOG_LEVEL": "debug",
        "ORC_LOG_FORMAT": "text",
    }
    for name, value in seed.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.database.render_as_string(hide_password=False) == (
        "postgresql+psycopg://orc:pw@db:5432/orc?sslmode=disable"
    )
    assert (settings.host, settings.port) == ("127.0.0.1", 9000)
    assert settings.panel_url == "https://orc.example.org"
    assert settings.is_https
    assert (settings.auth.enabled, settings.auth.type) == (True, "token")
    assert settings.oidc.client_id == "orca"
    assert (settings.log.level, settings.log.format) == ("debug", "text")
    assert "secret-value" not in repr(settings)
    assert "x" * 32 not in repr(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_no_authentication_is_refused_beyond_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ORC_HOST", host)
    monkeypatch.setenv("ORC_AUTH_ENABLED", "false")
    with pytest.raises(ValidationError, match="loopback"):
        Settings()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_no_authentication_works_on_loopback(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ORC_HOST", host)
    monkeypatch.setenv("ORC_AUTH_ENABLED", "false")
    assert not Settings().auth.enabled


def test_a_short_bearer_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_AUTH_TOKEN", "short")
    with pytest.raises(ValidationError, match="32 characters"):
        Settings()


def test_oidc_is_refused_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_AUTH_TYPE", "oidc")
    with pytest.raises(ValidationError, match="not available in this version"):
        Settings()


def test_lists_and_empty_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORC_ALLOWED_HOSTS", "a.example.org, b.example.org")
    monkeypatch.setenv("ORC_AUTH_TOKEN", "")
    monkeypatch.setenv("DATABASE_URL", "")
    settings = Settings()
    assert settings.allowed.hosts == ("a.example.org", "b.example.org")
    assert settings.auth.token is None
    assert settings.database.drivername == "sqlite+aiosqlite"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]
