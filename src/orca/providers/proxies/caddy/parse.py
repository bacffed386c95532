"""Parses Caddy's JSON into ProxyConfig, the inverse of `render`, to compare the live with the requested one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from orca.providers.proxies.caddy.normalise import normalise
from orca.providers.proxies.caddy.pages import unquote_title
from orca.providers.proxies.caddy.render import SERVER
from orca.providers.proxies.caddy.sites import PLAIN, URI
from orca.providers.proxies.caddy.upstreams import parse_upstreams
from orca.sdk.proxies import BasicAuthUser, Hsts, ProxyCertificate, ProxyConfig, ProxyRoute, TlsMode

Json = dict[str, Any]
Files = Mapping[str, str]


def parse(document: Json, upstreams: Files) -> ProxyConfig:
    """Return the ProxyConfig that `document` serves, with the addresses in `upstreams` (file name -> address).

    Raises ValueError when `render` cannot have produced the document, as for one of an earlier Orca, in which Caddy
    itself ordered certificates.
    """
    try:
        return _parse(document, upstreams)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a configuration made by Orca: {error!r}") from error


def _parse(document: Json, upstreams: Files) -> ProxyConfig:
    apps = document["apps"]
    server = apps["http"]["servers"][SERVER]
    blocks = dict(_blocks(server))
    modes = _tls_modes(server, apps["tls"])
    routes = []
    for name, (host, block) in blocks.items():
        if not name.startswith(PLAIN):
            route = _parse_route(block, host, upstreams)
            tls, certificate_id = modes.get(host, (route.tls, route.certificate_id))
            redirects = tls == "off" or PLAIN + name in blocks
            routes.append(replace(route, tls=tls, certificate_id=certificate_id, https_redirect=redirects))
    loaded = apps["tls"]["certificates"]["load_pem"]
    return normalise(
        ProxyConfig(
            routes=tuple(routes),
            certificates=tuple(ProxyCertificate(pem["tags"][0], pem["certificate"], pem["key"]) for pem in loaded),
        )
    )


def _blocks(server: Json) -> Iterator[tuple[str, tuple[str, Json]]]:
    """Return hostname and route block by `@id`, without the surrounding header handlers and pages."""
    for site in server["routes"]:
        for block in site["handle"][0].get("routes", []):
            if "@id" in block:
                yield block["@id"], (site["match"][0]["host"][0], block)


def _tls_modes(server: Json, app: Json) -> dict[str, tuple[TlsMode, str | None]]:
    modes: dict[str, tuple[TlsMode, str | None]] = {}
    for policy in server.get("tls_connection_policies", []):  # before 0.7, when routes and listeners were one Caddy
        if "certificate_selection" in policy:
            tag = policy["certificate_selection"]["any_tag"][0]
            modes |= dict.fromkeys(policy["match"]["sni"], ("custom", tag))
    for policy in _policies(app):
        if policy["issuers"][0]["module"] != "internal":
            raise ValueError("not a configuration made by Orca: it orders certificates")
        modes |= dict.fromkeys(policy["subjects"], ("internal", None))
    return modes


def _policies(app: Json) -> list[Json]:
    return list(app.get("automation", {}).get("policies", []))


def _parse_route(block: Json, hostname: str, upstreams: Files) -> ProxyRoute:
    facts: Json = {"compress": False}
    for step in block["handle"][0]["routes"][1:]:
        handler = step["handle"][0]
        facts |= _READERS[handler["handler"]](handler, step)
    files = [PurePath(dial.removesuffix("}")).name for dial in facts.pop("dials")]
    prefix = block["match"][0].get("path", ["/"])[0] if "match" in block else "/"
    return ProxyRoute(
        id=block["@id"],
        hostname=hostname,
        path_prefix=prefix,
        upstreams=parse_upstreams(files, upstreams),
        **facts,
    )


def _read_names(handler: Json, _: Json) -> Json:
    names: Json = {"title": unquote_title(handler["orca_title"])}
    certificate = handler.get("orca_certificate")
    return names | ({"tls": "custom", "certificate_id": certificate} if certificate else {})


def _read_invoke(handler: Json, step: Json) -> Json:
    if handler["name"] == "forbidden":
        (matcher,) = step["match"][0]["not"][0].values()
        return {"allow_ips": tuple(matcher["ranges"])}
    return {"maintenance": {"maintenance": True}, "compress": {"compress": True}}.get(handler["name"], {})


def _read_users(handler: Json, _: Json) -> Json:
    accounts = handler["providers"]["http_basic"]["accounts"]
    return {"basic_auth": tuple(BasicAuthUser(user["username"], user["password"]) for user in accounts)}


def _read_redirect(handler: Json, _: Json) -> Json:
    location = handler["headers"]["Location"][0].removesuffix(URI)
    return {"redirect_to": location, "redirect_status": handler["status_code"]}


def _read_proxy(handler: Json, _: Json) -> Json:
    facts: Json = {"dials": [upstream["dial"] for upstream in handler["upstreams"]]}
    if handler["transport"].get("versions") == ["h2c"]:
        facts["protocol"] = "h2c"
    timeout = handler["transport"].get("response_header_timeout")
    return facts if timeout is None else facts | {"timeout": timeout / 1e9}


def _read_hsts(handler: Json, _: Json) -> Json:
    age, *more = handler["response"]["set"]["Strict-Transport-Security"][0].split("; ")
    return {"hsts": Hsts(int(age.removeprefix("max-age=")), "includeSubDomains" in more, "preload" in more)}


_READERS: Mapping[str, Callable[[Json, Json], Json]] = {
    "vars": _read_names,
    "invoke": _read_invoke,
    "authentication": _read_users,
    "rewrite": lambda _handler, _step: {"strip_prefix": True},
    "static_response": _read_redirect,
    "request_body": lambda handler, _: {"max_body_bytes": handler["max_size"]},
    "reverse_proxy": _read_proxy,
    "headers": _read_hsts,
}
