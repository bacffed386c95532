"""The DNS providers that Orca supports for proofs, and the fields that each needs. Any other field is refused.

Options that are not listed here never reach the library: some of them name files or disable checks.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

POWERDNS, RFC2136 = "powerdns", "rfc2136"
DUCK_DNS = "duckdns"
"""Has one TXT value per registered domain, shared by all names below it."""
_DNS_PORT, _LAST_PORT = 53, 65535
_ALGORITHMS = ("hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1", "hmac-md5")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_OVH = ("ovh-eu", "ovh-ca", "ovh-us", "kimsufi-eu", "kimsufi-ca", "soyoustart-eu", "soyoustart-ca")


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a provider needs. `option` is its name in the library."""

    name: str
    label: str
    option: str = ""
    is_secret: bool = True
    is_optional: bool = False
    choices: tuple[str, ...] = ()
    kind: Literal["line", "name", "url", "server", "json"] = "line"


@dataclass(frozen=True, slots=True)
class Provider:
    """One DNS provider. `library` is its name in dns-lexicon, `fixed` are options with a constant value."""

    name: str
    label: str
    fields: tuple[Field, ...]
    library: str = ""
    fixed: Mapping[str, str] | None = None


def _token(label: str = "API token") -> Field:
    return Field("token", label, "auth_token")


def _user(label: str = "User name") -> Field:
    return Field("username", label, "auth_username", is_secret=False)


_ZONE_ID = Field("zone_id", "Zone id", "zone_id", is_secret=False, is_optional=True)
_KEY = Field("key", "API key", "auth_key")
_SECRET = Field("secret", "API secret", "auth_secret")

_ALL = (
    Provider("azure", "Azure DNS", (
        Field("client_id", "Client id", "auth_client_id", is_secret=False),
        Field("client_secret", "Client secret", "auth_client_secret"),
        Field("tenant_id", "Tenant id", "auth_tenant_id", is_secret=False),
        Field("subscription_id", "Subscription id", "auth_subscription_id", is_secret=False),
        Field("resource_group", "Resource group", "resource_group", is_secret=False),
    )),
    Provider("cloudflare", "Cloudflare", (_token(), _ZONE_ID)),
    Provider("cloudns", "ClouDNS", (
        Field("id", "API user id", "auth_id", is_secret=False), Field("password", "API password", "auth_password"),
    )),
    Provider("desec", "deSEC", (_token(),)),
    Provider("digitalocean", "DigitalOcean", (_token(),)),
    Provider("dnsimple", "DNSimple", (_token(),)),
    Provider("dnsmadeeasy", "DNS Made Easy", (_user("API key"), _token("Secret key"))),
    Provider("dreamhost", "DreamHost", (_token("API key"),)),
    Provider(DUCK_DNS, "Duck DNS", (_token("Account token"),)),
    Provider("gandi", "Gandi", (_token("Personal access token"),), fixed={"api_protocol": "rest"}),
    Provider("godaddy", "GoDaddy", (_KEY, _SECRET)),
    Provider("googleclouddns", "Google Cloud DNS", (
        Field("service_account", "Key of a service account (JSON)", "auth_service_account_info", kind="json"),
    )),
    Provider("hetzner", "Hetzner", (_token(),)),
    Provider("infomaniak", "Infomaniak", (_token(),)),
    Provider("ionos", "IONOS", (Field("key", "API key (prefix.secret)", "api_key"),)),
    Provider("linode", "Linode (Akamai)", (_token(),)),
    Provider("luadns", "LuaDNS", (_user("E-mail address"), _token())),
    Provider("namecheap", "Namecheap", (
        _user(), _token("API key"), Field("client_ip", "Allowed address", "auth_client_ip", is_secret=False),
    )),
    Provider("namesilo", "NameSilo", (_token("API key"),)),
    Provider("netcup", "netcup", (
        Field("customer_id", "Customer number", "auth_customer_id", is_secret=False),
        Field("key", "API key", "auth_api_key"), Field("password", "API password", "auth_api_password"),
    )),
    Provider("njalla", "Njalla", (_token(),)),
    Provider("ovh", "OVHcloud", (
        Field("endpoint", "Endpoint", "auth_entrypoint", is_secret=False, choices=_OVH),
        Field("application_key", "Application key", "auth_application_key", is_secret=False),
        Field("application_secret", "Application secret", "auth_application_secret"),
        Field("consumer_key", "Consumer key", "auth_consumer_key"),
    )),
    Provider("porkbun", "Porkbun", (_KEY, _SECRET)),
    Provider(POWERDNS, "PowerDNS", (
        Field("url", "Address of the API", "pdns_server", is_secret=False, kind="url"),
        _token("API key"),
        Field("server_id", "Server id", "pdns_server_id", is_secret=False, is_optional=True, kind="name"),
    )),
    Provider(RFC2136, "RFC 2136 (BIND, Knot, PowerDNS, Windows)", (
        Field("server", "Address of the primary server", is_secret=False, kind="server"),
        Field("key_name", "Name of the TSIG key", is_secret=False),
        Field("algorithm", "Algorithm of the key", is_secret=False, choices=_ALGORITHMS),
        Field("secret", "TSIG key (base64)"),
    )),
    Provider("route53", "Amazon Route 53", (
        Field("access_key", "Access key id", "auth_access_key", is_secret=False),
        Field("secret_key", "Secret access key", "auth_access_secret"), _ZONE_ID,
    )),
    Provider("scaleway", "Scaleway", (Field("secret_key", "Secret key", "auth_secret_key"),)),
    Provider("vultr", "Vultr", (_token("API key"),)),
)  # fmt: skip

PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in _ALL}


class InvalidField(ValueError):
    """A field that is unknown to the provider, missing, or invalid; `field` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def check_fields(provider: Provider, given: Mapping[str, str]) -> dict[str, str]:
    """Return the fields to store, without empty ones. Raises Misfit."""
    known = {field.name: field for field in provider.fields}
    for name in given:
        if name not in known:
            raise InvalidField(name, f"{provider.label} has no such field; it has {', '.join(known)}")
    found = {}
    for field in provider.fields:
        value = given.get(field.name, "").strip()
        if value:
            _check(field, value)
            found[field.name] = value
        elif not field.is_optional:
            raise InvalidField(field.name, f"{provider.label} needs this: {field.label}")
    return found


def options_of(provider: Provider, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the library's options for stored fields.

    Raises Misfit: the rules may be stricter than when the fields were stored.
    """
    options, fields = dict(provider.fixed or {}), check_fields(provider, fields)
    for field in provider.fields:
        value = fields.get(field.name)
        if value and field.kind == "json":
            value = "base64::" + base64.b64encode(value.encode()).decode()
        if value:
            options[field.option] = value
    return options


def server_of(text: str) -> tuple[str, int]:
    """Parse `203.0.113.5`, `203.0.113.5:5353`, `2001:db8::1` or `[2001:db8::1]:53`. Raises ValueError."""
    host, port = text, str(_DNS_PORT)
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":") or str(_DNS_PORT)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= _LAST_PORT:
        raise ValueError("the port must be a number from 1 to 65535")
    return str(ip_address(host)), int(port)


def _check(field: Field, value: str) -> None:
    if field.kind != "json" and not (value.isprintable() and value.isascii()):
        raise InvalidField(field.name, "use printable ASCII characters, in one line")
    if field.choices and value not in field.choices:
        raise InvalidField(field.name, f"use one of {', '.join(field.choices)}")
    if field.kind == "name" and (not _NAME.fullmatch(value) or set(value) == {"."}):
        raise InvalidField(field.name, "use at most 64 letters, digits, dots, hyphens and underscores, not dots alone")
    if field.kind == "url":
        _check_url(field, value)
    if field.kind == "server":
        try:
            server_of(value)
        except ValueError:
            raise InvalidField(field.name, "use an IP address, with a port if it is not 53: 203.0.113.5:5353") from None
    if field.kind == "json":
        _check_json(field, value)


def _check_url(field: Field, value: str) -> None:
    try:
        parts = urlsplit(value)
        is_fine = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
        is_fine = is_fine and (parts.port is None or parts.port > 0) and not set("?#") & set(value)
    except ValueError:
        is_fine = False
    if not is_fine:
        raise InvalidField(
            field.name, "use an address that begins with http:// or https://, without user name and query"
        )


def _check_json(field: Field, value: str) -> None:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not {"client_email", "private_key", "project_id"} <= found.keys():
        raise InvalidField(field.name, "use the whole JSON file of the service account's key")
