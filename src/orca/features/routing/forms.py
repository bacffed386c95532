"""Converts between the form of a hostname and the API's JSON. Pure."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from orca.features.routing.schemas.routes import RouteOut

_AUTOMATIC, _YES = "", "true"
_SWITCHES = ("strip_prefix", "compress", "maintenance", "hsts_subdomains", "hsts_preload")


def edit_values(route: RouteOut) -> dict[str, str]:
    """Return the form values of a route."""
    options = route.options
    return {
        "hostname": route.hostname, "path_prefix": route.path_prefix, "port": str(route.port or ""),
        "tls": route.tls, "certificate_id": route.certificate_id or "", "redirect_to": route.redirect_to or "",
        "redirect_status": str(options.redirect_status),
        "https_redirect": _AUTOMATIC if options.https_redirect is None else str(options.https_redirect).lower(),
        "max_body_mb": str(options.max_body_mb or ""), "timeout": f"{options.timeout:g}" if options.timeout else "",
        "allow_ips": "\n".join(options.allow_ips), "protocol": options.protocol,
        "hsts_max_age": "" if options.hsts_max_age is None else str(options.hsts_max_age),
        **{name: _YES for name in _SWITCHES if getattr(options, name)},
        **{f"user_{number}": user for number, user in enumerate(options.basic_auth)},
    }  # fmt: skip


def edit_data(route: RouteOut, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the form as the API's JSON. An unchanged TLS setting is left out: a changed name may need another."""
    data: dict[str, Any] = {
        "hostname": form.get("hostname", ""),
        "path_prefix": form.get("path_prefix") or "/",
        "port": form.get("port") or None,
        "redirect_to": form.get("redirect_to") or None,
    }
    tls = form.get("tls") or route.tls
    certificate = (form.get("certificate_id") or None) if tls == "custom" else None
    if (tls, certificate) != (route.tls, route.certificate_id):
        data |= {"tls": tls, "certificate_id": certificate}
    return data | {"options": _options(route, form)}


def _options(route: RouteOut, form: Mapping[str, str]) -> dict[str, Any]:
    status = form.get("redirect_status", "")
    return {
        **{name: form.get(name) == _YES for name in _SWITCHES},
        "https_redirect": form.get("https_redirect") or None,
        "max_body_mb": form.get("max_body_mb") or None,
        "timeout": form.get("timeout") or None,
        "protocol": form.get("protocol") or route.options.protocol,
        "hsts_max_age": form.get("hsts_max_age") or None,
        "allow_ips": form.get("allow_ips", "").replace(",", " ").split(),
        "redirect_status": int(status) if status.isdecimal() else route.options.redirect_status,
        "basic_auth": _users(form),
    }


def _users(form: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the existing users that were not removed, and the added one."""
    users = []
    for number in count():
        name = form.get(f"user_{number}")
        if name is None:
            break
        if form.get(f"remove_{number}") != _YES:
            users.append(_user(name, form.get(f"password_{number}", "")))
    if form.get("new_user"):
        users.append(_user(form["new_user"], form.get("new_password", "")))
    return users


def _user(name: str, password: str) -> dict[str, str]:
    return {"username": name, "password": password} if password else {"username": name}
