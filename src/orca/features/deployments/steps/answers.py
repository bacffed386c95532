"""Explains the HTTP response to a health check. Pure."""

from urllib.parse import urljoin, urlsplit

from orca.features.deployments.next_steps import change_settings
from orca.features.deployments.schemas import NextStep

_HTTPS, _HTTP = 443, 80
_MAY_REFUSE_HOST = frozenset({400, 403, 421})


def explain_status(asked: str, code: int, host: str) -> tuple[str, str]:
    """Return what happened, and what to do about it."""
    text = f"{asked} answered {code}"
    named = f" for the host {host}" if host else ""
    path = "Set `health.path` to a path that tells that it is well, or `health.status`."
    if code in _MAY_REFUSE_HOST and host:
        hint = (
            f"So the process listens, and may refuse the hostname {host}: allow it (Django: ALLOWED_HOSTS, Rails: "
            "config.hosts, Vite: allowedHosts, Next.js: allowedDevOrigins), or name one that it answers to in "
            f"`health.host`. If the path itself is closed: {path}"
        )
        return text + named, hint
    if code == 401:  # noqa: PLR2004 - HTTP
        return text, f"So the process listens, and wants people to sign in. {path}"
    if code >= 500:  # noqa: PLR2004 - HTTP
        return text, f"So the process listens, and fails inside; the log shows why. {path}"
    return text, f"So the process listens. {path}"


def status_steps(code: int, host: str) -> tuple[NextStep, ...]:
    """Return what `explain_status` says to do, as steps."""
    return (
        change_settings("health.path", "health.host")
        if code in _MAY_REFUSE_HOST and host
        else change_settings("health.path")
    )


def redirect_note(asked: str, location: str) -> set[str]:
    """Return a warning for a redirect that leads visitors away or loops; empty for one within the site."""
    here, there = urlsplit(asked), urlsplit(urljoin(asked, location))
    if there.hostname != here.hostname:
        led_away = (
            f"{asked} is redirected to {there.hostname or location}: visitors of {here.hostname} are led there; if "
            "that is not meant, the application does not know its own hostname."
        )
        return {led_away}
    is_same_page = (there.path or "/", there.query) == (here.path or "/", here.query)
    if is_same_page and there.scheme == here.scheme == "https" and (there.port or _HTTPS) == (here.port or _HTTPS):
        loops = (
            f"{asked} is redirected to itself: visitors would be redirected for ever. The application does not believe "
            "the header X-Forwarded-Proto; tell it to trust the proxy (Django: SECURE_PROXY_SSL_HEADER, Express: "
            "trust proxy, Rails: assume_ssl), or switch its own redirect off."
        )
        return {loops}
    return set()
