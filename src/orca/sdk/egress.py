"""The policy for all outgoing requests on a user's behalf: repositories, ADD, registries, webhooks, probes.

Never allowed, in any notation or wrapping of an address: link-local addresses (such as the metadata services of
clouds), multicast and addresses that are not hosts. Loopback and private networks are allowed if the caller's setting
says so. Orca's own connections resolve a name once and use the address that was checked; every redirect is checked.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

Address = IPv4Address | IPv6Address
Allow = Callable[[Address], bool]

_METADATA = {
    ip_address(text)
    for text in (
        "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe",
    )
}  # fmt: skip
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/96"))
_UNICAST = IPv6Network("2000::/3")
"""All globally routed IPv6 addresses. Others may embed an IPv4 address in a way that `unwrap` does not know."""
_COMPATIBLE = IPv6Network("::/96")
_RESOLVE_SECONDS, _REALM_SECONDS, _SILENT_SECONDS = 10.0, 4.0, 3.0
_THIS_MACHINE = re.compile(r"(?:.*\.)?localhost|(?:host|gateway)\.docker\.internal")
_METADATA_NAMES = re.compile(r"(?:.*\.)?metadata\.google\.internal|(?:.*\.)?instance-data(?:\.ec2\.internal)?")
_REALM = re.compile(r'realm="(https?://[^"\s]{1,1000})"', re.IGNORECASE)

REGISTRY_HINT = "Use a registry with a public address; ORC_REGISTRY_PRIVATE_NETWORKS says whether others may be used."


class AddressNotAllowed(ValueError):
    """The policy does not allow an address, which is in the message."""


class Unresolved(ValueError):
    """A name has no address."""


def unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one embeds: mapped, compatible, 6to4, NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour or address
    carries = any(address in network for network in _NAT64)
    if carries or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(address: Address, *, private: bool, loopback: bool) -> bool:
    """Whether requests to an address are allowed."""
    plain = unwrap(address)
    if plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain in _METADATA:
        return False
    if isinstance(plain, IPv6Address) and plain.teredo:
        return False
    if plain.is_loopback:
        return loopback
    is_public = plain.is_global and (isinstance(plain, IPv4Address) or plain in _UNICAST)
    return is_public or (private and not plain.is_reserved)


def read_address(host: str) -> Address | None:
    """Parse an address in any notation that resolvers accept (127.1, 0x7f000001); None for a name."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ip_address(bare)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(bare)) if re.fullmatch(r"[0-9a-fA-FxX.]+", bare) else None
    except OSError:
        return None


def is_allowed_name(host: str, *, loopback: bool) -> bool:
    """Whether a name may be resolved at all; special names of clouds and of Docker lead to the machine itself."""
    name = host.rstrip(".").lower()
    return not _METADATA_NAMES.fullmatch(name) and (loopback or not _THIS_MACHINE.fullmatch(name))


async def resolve(host: str, port: int | None = None) -> list[Address]:
    """Return the addresses of a host. Raises Unresolved when there are none, or none in time."""
    if (written := read_address(host)) is not None:
        return [written]
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError, TimeoutError):  # ValueError: an invalid name
        raise Unresolved(f"{host[:100]} has no address") from None
    return list(dict.fromkeys(ip_address(str(answer[4][0]).partition("%")[0]) for answer in found))


async def check_host(host: str, port: int | None, allow: Allow) -> list[Address]:
    """Return the addresses of a host. Raises Unresolved, and Forbidden if any one of them is not allowed."""
    found = await resolve(host, port)
    for address in found:
        if not allow(address):
            raise AddressNotAllowed(f"{host[:100]} is at {address}, where nothing is sent to")
    return found


class PinnedTransport(httpx.AsyncBaseTransport):
    """Connects to the address that was checked, with the requested host name. Raises Forbidden, Unresolved."""

    def __init__(self, allow: Allow, verify: ssl.SSLContext | bool = True) -> None:
        self._allow = allow
        self._inner = httpx.AsyncHTTPTransport(verify=verify, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check and send a request; also called for each redirect."""
        host = request.url.host
        address = (await check_host(host, request.url.port, self._allow))[0]
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=str(address))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


async def check_registry(registry: str, *, private: bool) -> None:
    """Check a registry and the token service of its challenge: the engine will connect to both. Raises Forbidden.

    A public registry cannot send the engine to this machine or its networks, regardless of `private`. A registry that
    does not answer here is left to the engine, which may reach it in another way (a proxy, a mirror).
    """

    def allow(address: Address) -> bool:
        return is_allowed(address, private=private, loopback=private)

    url = httpx.URL(f"https://{'registry-1.docker.io' if registry == 'docker.io' else registry}/v2/")
    try:
        found = await check_host(url.host, url.port, allow)
        inside = private and not all(unwrap(address).is_global for address in found)
        async with asyncio.timeout(_REALM_SECONDS):
            realm = await _ask_realm(url, allow)
        if realm is not None:
            await check_host(
                realm.host, realm.port, lambda address: is_allowed(address, private=inside, loopback=inside)
            )
    except (Unresolved, TimeoutError, httpx.HTTPError, httpx.InvalidURL):
        return


async def _ask_realm(url: httpx.URL, allow: Allow) -> httpx.URL | None:
    """Return the URL of the registry's token service; plain http is tried as well if the engine would."""
    # Shorter than the deadline of the whole: a cancelled TLS handshake would leave its connection open.
    async with httpx.AsyncClient(transport=PinnedTransport(allow, _trusting()), timeout=_SILENT_SECONDS) as client:
        try:
            request = client.stream("GET", url)
            async with request as response:
                challenge = response.headers.get("www-authenticate", "")
        except (httpx.NetworkError, httpx.ProtocolError):
            async with client.stream("GET", url.copy_with(scheme="http")) as response:
                challenge = response.headers.get("www-authenticate", "")
    match = _REALM.search(challenge[:4000])
    return httpx.URL(match[1]) if match else None


def _trusting() -> ssl.SSLContext:
    """Return a TLS context without verification: only the realm is read; the engine verifies, and sends credentials."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
