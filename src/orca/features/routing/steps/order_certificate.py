"""One order at an ACME authority (RFC 8555), from the account to the chain. Blocking: call it in a thread."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import requests
import structlog
from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from orca.features.routing.rules.orders import AccountLost, OrderFailed, parse_retry_after
from orca.features.routing.rules.uploads import Unusable, read_issued
from orca.kit.text import clean_output, shorten

log = structlog.get_logger("orca.routing")
ORDER_SECONDS = 120
_REQUEST_SECONDS = 20
_REASON_LIMIT = 1000
"""Error texts can be long: authorities name the requested address, sometimes twice, before the problem."""
_TRIES = 10
"""Attempts of a request whose nonce was refused: authorities refuse some on purpose."""
_SERVER_ERROR = 500
_RATE_LIMITED = 429


class Solver(Protocol):
    """Proves to the authority that a name is ours."""

    challenge: type[challenges.KeyAuthorizationChallenge]

    def show(self, name: str, challenge: Any, validation: str) -> None:
        """Publish the proof for `name` (a wildcard's base) where the authority looks for it; returns once it is there.

        Raises OrderFailed, and Stopped when the order is not wanted any more.
        """
        ...

    def drop(self) -> None:
        """Remove everything that was published."""
        ...


@dataclass(frozen=True, slots=True)
class Binding:
    """External account binding (RFC 8555, 7.3.4): the customer of the authority that the account belongs to."""

    key_id: str
    hmac_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority and the account with which certificates are ordered."""

    directory_url: str
    account_key: str = field(repr=False)
    """In PEM, as `new_key` returns it."""
    email: str | None = None
    ca_root: str | None = None
    """Path of the PEM root certificate that the authority's own server is verified with."""
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its issuers, and its key; both in PEM."""

    chain: str
    private_key: str = field(repr=False)


def new_key() -> str:
    """Return a private key in PEM: P-256, which every authority and every browser accepts."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def order_certificate(authority: Authority, name: str, solver: Solver, is_stopped: Callable[[], bool]) -> Issued | None:
    """Order a certificate for one name. Returns None when `is_stopped` returns true; raises OrderFailed."""
    network = _Network(authority, is_stopped)
    try:
        with _explained(network):
            return _order(authority, network, name, solver)
    except Stopped:
        return None
    finally:
        solver.drop()


def _order(authority: Authority, network: "_Network", name: str, solver: Solver) -> Issued:
    acme = client.ClientV2(client.ClientV2.get_directory(authority.directory_url, network), network)
    private_key = new_key()
    csr = crypto_util.make_csr(private_key.encode(), [name])
    try:
        _sign_in(acme, authority)
        order = acme.new_order(csr)
    except messages.Error as error:
        if error.code == "accountDoesNotExist" or (error.code == "unauthorized" and _is_lost(acme, authority)):
            raise AccountLost("refused", _refusal(error, network).reason) from error
        raise
    for authorization in order.authorizations:
        if authorization.body.status == messages.STATUS_PENDING:
            _prove(acme, authorization, solver)
    deadline = datetime.now() + timedelta(seconds=ORDER_SECONDS)  # noqa: DTZ005 - the library compares naive times
    finished = acme.poll_and_finalize(order, deadline)
    try:
        return Issued(read_issued(finished.fullchain_pem, private_key, name), private_key)
    except Unusable as error:
        raise OrderFailed("unusable", _clean(str(error).partition(";")[0])) from error


def _sign_in(acme: client.ClientV2, authority: Authority) -> None:
    """Use the account of our key; an authority that does not know it (any more) creates it."""
    key = acme.net.key
    assert key is not None  # noqa: S101 - `_Network` has one
    extra: dict[str, Any] = {}
    if authority.binding is not None:
        extra["external_account_binding"] = messages.ExternalAccountBinding.from_data(
            key.public_key(), authority.binding.key_id, authority.binding.hmac_key, acme.directory
        )
    if authority.email:
        extra["email"] = authority.email
    registration = messages.NewRegistration.from_data(terms_of_service_agreed=True, **extra)
    try:
        acme.new_account(registration)
    except errors.ConflictError as known:
        acme.net.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())


def _is_lost(acme: client.ClientV2, authority: Authority) -> bool:
    """Whether our account was deactivated or revoked, checked after the authority answered `unauthorized`."""
    account = acme.net.account
    if account is None:  # sign-in was refused: without a binding, only a lost account explains that
        return authority.binding is None
    try:
        known = acme.net.post(account.uri, None, new_nonce_url=acme.directory.newNonce).json()
        return bool(known["status"] in {"deactivated", "revoked"})
    except messages.Error as error:
        return bool(error.code in {"unauthorized", "accountDoesNotExist"})


def _prove(acme: client.ClientV2, authorization: messages.AuthorizationResource, solver: Solver) -> None:
    offered, name = authorization.body.challenges, str(authorization.body.identifier.value)
    chosen = next((challenge for challenge in offered if isinstance(challenge.chall, solver.challenge)), None)
    if chosen is None:
        kinds = ", ".join(sorted(challenge.chall.typ for challenge in offered))
        raise OrderFailed("refused", f"it wants a proof by {kinds}, which is not set up for {name}")
    response, validation = chosen.response_and_validation(acme.net.key)
    solver.show(name, chosen.chall, validation)
    acme.answer_challenge(chosen, response)


class Stopped(Exception):
    """Orca shuts down, or the order is not wanted any more."""


class _Network(client.ClientNetwork):
    """HTTP client with a deadline per request; stores the last pause that the authority requested."""

    def __init__(self, authority: Authority, is_stopped: Callable[[], bool]) -> None:
        key = load_pem_private_key(authority.account_key.encode(), password=None)
        super().__init__(
            JWKEC(key=key), alg=ES256, user_agent="Orca", timeout=_REQUEST_SECONDS,
        )  # fmt: skip
        self.verify_ssl = authority.ca_root or True  # type: ignore[assignment]  # a path is what requests takes, too
        self.session.trust_env = authority.ca_root is None  # else a CA bundle of the environment replaces it
        self.last: requests.Response | None = None
        self._is_stopped = is_stopped

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        if self._is_stopped():
            raise Stopped
        self.last = super()._send_request(method, url, *args, allow_redirects=False, **kwargs)
        return self.last

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """POST; when the authority refuses the nonce, repeat the request with the new one from its response."""
        for _ in range(_TRIES - 1):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
                time.sleep(0.1)
        return self._post_once(*args, **kwargs)


@contextmanager
def _explained(network: _Network) -> Iterator[None]:
    """Turn errors into OrderFailed; refusals and outages are distinguished by types and codes, never by texts."""
    try:
        yield
    except errors.ValidationError as error:
        raise OrderFailed("refused", _clean("; ".join(_problems(error)))) from error
    except errors.IssuanceError as error:
        raise _refusal(error.error, network) from error
    except messages.Error as error:
        raise _refusal(error, network) from error
    except requests.exceptions.InvalidJSONError as error:
        raise _not_understood(network) from error
    except requests.RequestException as error:
        raise OrderFailed("unreachable", _unreachable(error)) from error
    except errors.TimeoutError as error:
        raise OrderFailed("unreachable", f"it did not come to an end within {ORDER_SECONDS} s") from error
    except (errors.Error, JoseError, ValueError, KeyError, AttributeError) as error:
        log.warning("authority_not_understood", error=type(error).__name__)
        raise _not_understood(network) from error


def _not_understood(network: _Network) -> OrderFailed:
    status = network.last.status_code if network.last is not None else None
    heard = f"it answered {status} and nothing that ACME knows" if status else "it gave no answer that ACME knows"
    return OrderFailed("unreachable", heard, _asked_to_wait(network))


def _refusal(error: messages.Error, network: _Network) -> OrderFailed:
    status = network.last.status_code if network.last is not None else 0
    reason = _clean(f"{error.detail or error.title or ''} ({error.code or error.typ})")
    if error.code == "rateLimited" or status == _RATE_LIMITED:
        return OrderFailed("rate-limited", reason, _asked_to_wait(network))
    if status >= _SERVER_ERROR or error.code in {"serverInternal", "badNonce"}:
        return OrderFailed("unreachable", reason, _asked_to_wait(network))
    return OrderFailed("refused", reason)


def _problems(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                yield f"{challenge.error.detail or challenge.error.title} ({challenge.error.code})"


def _unreachable(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its own certificate is not trusted by this machine (ORC_ACME_CA_ROOT names another root)"
    if isinstance(error, requests.Timeout):
        return f"it did not answer within {_REQUEST_SECONDS} s"
    return "no connection to it can be made"


def _asked_to_wait(network: _Network) -> timedelta | None:
    header = network.last.headers.get("Retry-After") if network.last is not None else None
    return parse_retry_after(header, datetime.now(UTC))


def _clean(text: str) -> str:
    """Remove control characters from the text of a remote server."""
    return shorten(clean_output(text, colours=False).replace("\n", " ").strip(), _REASON_LIMIT)
