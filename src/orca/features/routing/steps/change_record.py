"""Creates and removes one TXT record at a DNS provider, in a process of its own.

The libraries use much memory, set no deadlines, and include requested URLs with keys in their errors. In this process
the memory does not burden Orca, time is limited, and failures are reported by the type of the error alone. Reads JSON
from standard input (`task`, `provider`, `fields`, `record`, `zone`, `value`, `resolvers`, `private`, `loopback`), and
writes JSON: the result, or `kind` and `message`.
"""

import json
import logging
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from ipaddress import ip_address
from tempfile import TemporaryDirectory
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.tsigkeyring
import dns.update

from orca.features.routing.rules.dns_providers import (
    DUCK_DNS,
    POWERDNS,
    PROVIDERS,
    RFC2136,
    InvalidField,
    options_of,
    server_of,
)
from orca.features.routing.rules.hostnames import MAX_HOSTNAME
from orca.sdk.egress import is_allowed

_LOOKUP_SECONDS, _ANSWER_SECONDS = 10.0, 5.0
_SHOWN_SECONDS = 180.0
_PAUSE_SECONDS = 2.0
_TTL = 60
_DUCK_LABELS = 3
_LONGEST_CHAIN = 10
_MEMORY_BYTES, _CPU_SECONDS = 256 << 20, 30
"""Responses are read into memory, also compressed ones that grow. The largest library needs 90 MiB."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_UNAUTHORISED = {401, 403}
_TOO_MANY = 429

Json = dict[str, Any]


class _Failed(Exception):
    """The task failed; `kind` is one of `rejected`, `unreachable`, `refused`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _NotAllowed(OSError):
    """A connection that the policy does not allow."""


def main() -> None:
    """Run the task from standard input within the limits of memory and CPU time."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    asked: Json = json.load(sys.stdin)
    logging.disable()
    resolver = _resolver(asked["resolvers"])
    _keep_inside(resolver, private=asked["private"], loopback=asked["loopback"])
    try:
        with TemporaryDirectory() as home, redirect_stdout(sys.stderr), _explained(asked):
            os.environ["HOME"] = os.environ["TLDEXTRACT_CACHE"] = home
            answer = _TASKS[asked["task"]](asked, resolver)
    except _Failed as failure:
        answer = {"kind": failure.kind, "message": str(failure)}
    json.dump(answer, sys.stdout)


def _find(asked: Json, resolver: dns.resolver.Resolver) -> Json:
    """Return where the record belongs: the name after following all aliases, and its zone."""
    name = resolver.canonical_name(asked["record"])
    record = _plain(name)
    zone = dns.resolver.zone_for_name(name, resolver=resolver, lifetime=_LOOKUP_SECONDS)
    if asked["provider"] == DUCK_DNS:  # the zone of an account is its registered name
        zone = dns.name.Name(name.labels[-_DUCK_LABELS - 1 :])
    if len(zone.labels) < 3:  # noqa: PLR2004 - two of the zone, and the root's
        raise _Failed("refused", f"{record} is in no zone of yours: the DNS knows none nearer than {_plain(zone)}")
    return {"record": record, "zone": _plain(zone)}


def _create(asked: Json, resolver: dns.resolver.Resolver) -> Json:
    """Create the record."""
    if asked["provider"] == RFC2136:
        _update(asked, lambda change, name: change.add(name, _TTL, "TXT", f'"{asked["value"]}"'))
    else:
        with _client(asked, resolver) as records:
            records.create_record("TXT", asked["record"], asked["value"])
    return {}


def _wait(asked: Json, resolver: dns.resolver.Resolver) -> Json:
    """Query the zone's own name servers, as the authority will, until all that answer have the value twice in a row."""
    name, wanted = dns.name.from_text(asked["record"]), asked["value"].encode()
    servers = _servers(asked["zone"], resolver)
    until, good = time.monotonic() + _SHOWN_SECONDS, 0
    while good < 2:  # noqa: PLR2004 - twice in a row
        answers = [_shows(server, name, wanted) for server in servers]
        good = good + 1 if True in answers and False not in answers else 0
        if time.monotonic() > until:
            seen = "none of them answers" if True not in answers and False not in answers else "not all of them have it"
            message = f"the name servers of {asked['zone']} do not show it after {_SHOWN_SECONDS:g} s: {seen}"
            raise _Failed("unreachable", message)
        if good < 2:  # noqa: PLR2004
            time.sleep(_PAUSE_SECONDS if not good else _PAUSE_SECONDS / 4)
    return {}


def _delete(asked: Json, resolver: dns.resolver.Resolver) -> Json:
    """Remove the record with exactly this value; a missing one is no error."""
    if asked["provider"] == RFC2136:
        _update(asked, lambda change, name: change.delete(name, "TXT", f'"{asked["value"]}"'))
    else:
        with _client(asked, resolver) as records:
            records.delete_record(rtype="TXT", name=asked["record"], content=asked["value"])
    return {}


def _check(asked: Json, resolver: dns.resolver.Resolver) -> Json:
    """Sign in at the provider, for the zone."""
    if asked["provider"] == RFC2136:
        _update(asked, lambda _change, _name: None)
    else:
        with _client(asked, resolver):
            pass
    return {}


_TASKS: dict[str, Callable[[Json, dns.resolver.Resolver], Json]] = {
    "find": _find, "create": _create, "wait": _wait, "delete": _delete, "check": _check,
}  # fmt: skip


def _client(asked: Json, resolver: dns.resolver.Resolver) -> Any:
    import requests.sessions  # noqa: PLC0415
    from lexicon.client import Client  # noqa: PLC0415 - takes a good part of a second, which looking up does not need
    from lexicon.config import ConfigResolver  # noqa: PLC0415

    provider = PROVIDERS[asked["provider"]]
    name = provider.library or provider.name
    if asked["provider"] == POWERDNS:  # on a redirect it would send the key to another host
        requests.sessions.DEFAULT_REDIRECT_LIMIT = 0  # type: ignore[attr-defined]
    dns.resolver.default_resolver = resolver
    options = {
        "provider_name": name, "domain": asked["zone"], "delegated": asked["zone"], "resolve_zone_name": True,
        name: options_of(provider, asked["fields"]),
    }  # fmt: skip
    return Client(ConfigResolver().with_dict(options))  # type: ignore[no-untyped-call]


def _update(asked: Json, fill: Callable[[Any, dns.name.Name], None]) -> None:
    fields = asked["fields"]
    host, port = server_of(fields["server"])
    keys = dns.tsigkeyring.from_text({fields["key_name"]: (fields["algorithm"], fields["secret"])})
    change = dns.update.UpdateMessage(asked["zone"], keyring=keys)
    fill(change, dns.name.from_text(asked["record"]).relativize(dns.name.from_text(asked["zone"])))
    try:
        code = dns.query.tcp(change, host, port=port, timeout=_LOOKUP_SECONDS).rcode()
    except dns.exception.Timeout:
        raise
    except dns.exception.DNSException as error:
        kind = type(error).__name__
        message = f"the server's answer is not signed by the TSIG key: key, algorithm or clock differ ({kind})"
        raise _Failed("rejected", message) from error
    if code in {dns.rcode.NOTAUTH, dns.rcode.REFUSED}:
        raise _Failed(
            "rejected", f"the server does not let this key change {asked['zone']} ({dns.rcode.to_text(code)})"
        )
    if code != dns.rcode.NOERROR:
        raise _Failed("refused", f"the server did not take the change of {asked['zone']} ({dns.rcode.to_text(code)})")


def _servers(zone: str, resolver: dns.resolver.Resolver) -> list[str]:
    found: list[str] = []
    for server in resolver.resolve(zone, "NS"):
        for kind in ("A", "AAAA"):
            try:
                found += [record.to_text() for record in resolver.resolve(server.target, kind)]
            except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN, dns.resolver.NoNameservers):
                continue
    return list(dict.fromkeys(found))


def _shows(server: str, name: dns.name.Name, value: bytes) -> bool | None:
    """Whether a name server has the value; None when it does not answer, or refuses us."""
    try:
        query = dns.message.make_query(name, "TXT", flags=0)
        answer, _ = dns.query.udp_with_fallback(query, server, timeout=_ANSWER_SECONDS)
    except (OSError, dns.exception.DNSException):
        return None
    if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return None
    texts = (b"".join(data.strings) for found in answer.answer if found.rdtype == dns.rdatatype.TXT for data in found)
    return value in texts


def _resolver(addresses: list[str]) -> dns.resolver.Resolver:
    """Return the machine's own resolver, unless addresses are configured."""
    resolver = dns.resolver.Resolver(configure=not addresses)
    if addresses:
        servers = [server_of(address) for address in addresses]
        resolver.nameservers = [host for host, _ in servers]
        resolver.nameserver_ports = dict(servers)
    resolver.lifetime = _LOOKUP_SECONDS
    resolver.cache = None
    return resolver


def _keep_inside(resolver: dns.resolver.Resolver, *, private: bool, loopback: bool) -> None:
    """Let this process connect only where the policy allows it, and to the resolvers that the operator chose."""
    resolvers = {
        (str(nameserver), resolver.nameserver_ports.get(str(nameserver), resolver.port))
        for nameserver in resolver.nameservers
    }

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in {"socket.connect", "socket.sendto"} or not isinstance(arguments[1], tuple):
            return
        host, port = str(arguments[1][0]).partition("%")[0], arguments[1][1]
        if (host, port) not in resolvers and not is_allowed(ip_address(host), private=private, loopback=loopback):
            raise _NotAllowed(f"nothing is sent to {host}")

    sys.addaudithook(look)


@contextmanager
def _explained(asked: Json) -> Iterator[None]:
    """Turn errors into `_Failed` by their types; the library's messages are dropped, as they may contain keys."""
    label = PROVIDERS[asked["provider"]].label
    try:
        yield
    except _Failed:
        raise
    except InvalidField as misfit:
        raise _Failed("rejected", f"{misfit.field}: {misfit}") from misfit
    except dns.exception.Timeout as error:
        raise _Failed("unreachable", "the DNS did not answer in time") from error
    except dns.exception.DNSException as error:
        raise _Failed("unreachable", f"the DNS gave no usable answer ({type(error).__name__})") from error
    except Exception as error:
        raise _judge(error, label) from error


def _judge(error: BaseException, label: str) -> _Failed:
    causes = list(_chain(error))
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    if "_NotAllowed" in names:
        hint = "ORC_ACME_DNS_PRIVATE_NETWORKS allows private networks, ORC_ACME_DNS_LOOPBACK this machine"
        return _Failed("refused", f"{label} is at an address where nothing is sent to; {hint}")
    if "MemoryError" in names:
        return _Failed("refused", f"{label} answered more than is read")
    status = next((s for s in (_status(cause) for cause in causes) if s is not None), None)
    if "AuthenticationError" in names or status in _UNAUTHORISED:
        return _Failed("rejected", f"{label} does not take the credential for this zone")
    if status is not None:
        is_passing = status == _TOO_MANY or status >= 500  # noqa: PLR2004 - the server's own failures
        return _Failed("unreachable" if is_passing else "refused", f"{label} answered {status}")
    if names & {"ConnectionError", "Timeout", "OSError", "EndpointConnectionError"}:
        return _Failed("unreachable", f"{label} cannot be reached")
    return _Failed("refused", f"{label} did not do it ({type(error).__name__})")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, which urllib3 and requests also pass as arguments."""
    found: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if found is None:
            return
        yield found
        carried = next((argument for argument in found.args if isinstance(argument, BaseException)), None)
        found = found.__cause__ or found.__context__ or carried


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error of `requests` or boto3 carries, or None."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        response = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return response if isinstance(response, int) else None
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _plain(name: dns.name.Name) -> str:
    """Return a name as text. Names with bytes that would need escaping are refused."""
    text = name.to_text(omit_final_dot=True)
    if len(text) > MAX_HOSTNAME or not (_PLAIN_NAME.fullmatch(text) or name == dns.name.root):
        raise _Failed("refused", "the DNS leads to a name that no record of a proof can have")
    return text


if __name__ == "__main__":
    main()
