"""What an authority may do besides saying no: forget us, send nonsense, be away for days. Sites stay as they are."""

import http.client
import http.server
import json
import ssl
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select, update
from tests.features.routing.authority import HOSTNAME, Authority
from tests.features.routing.bench import issue
from tests.features.routing.operations.test_orders import Showing, add, change, hold, ordering, read, served

from orca.db import now
from orca.features.routing.models import OrderedCertificate
from orca.features.routing.operations.orders import open_account_key
from orca.features.routing.steps.run_orders import run_orders
from orca.features.secrets.models import Secret
from orca.resources import Resources

__all__ = ["ordering"]
pytestmark = pytest.mark.slow


@pytest.fixture
def proxy() -> Showing:
    return Showing()


async def renew_now(resources: Resources) -> None:
    """Let every certificate that is held have a minute left, and its next try be due."""
    async with resources.db.write() as session:
        ends = {"issued_at": now() - timedelta(days=90), "not_after": now() + timedelta(minutes=1)}
        await session.execute(update(OrderedCertificate).values(**ends))
    await change(resources, acme_check_at=None, certificate_until=ends["not_after"])


async def account_key(resources: Resources) -> str:
    async with resources.db.write() as session:
        return await open_account_key(session, resources, lambda: pytest.fail("there is an account"))


async def test_an_account_key_that_cannot_be_opened_is_replaced(ordering, proxy, service) -> None:
    await add(ordering, service)
    await run_orders(ordering)
    async with ordering.db.write() as session:
        await session.execute(update(Secret).where(Secret.owner_type == "acme").values(sealed=b"damaged"))
    await renew_now(ordering)
    await run_orders(ordering)
    (route,) = await read(ordering)
    assert (route.problem, route.certificate_until > now() + timedelta(days=9)) == ("", True)


@pytest.mark.parametrize("authority", [{"certificateValidityPeriod": 1}], indirect=True)
async def test_certificates_that_are_over_when_they_come_are_not_ordered_again_and_again(
    ordering, proxy, service, authority: Authority
) -> None:
    """As where this machine's clock is a day ahead, and certificates last for a day."""
    await add(ordering, service)
    for failures in (1, 2):
        await run_orders(ordering)
        await run_orders(ordering)
        (route,) = await read(ordering)
        assert (authority.orders, route.order_failures) == (failures, failures)
        assert "what the authority issued cannot be used" in route.problem
        assert "timedatectl" in route.problem
        assert timedelta(minutes=59) < route.acme_check_at - now() <= timedelta(hours=failures)
        assert served(proxy)["/"] == ("internal", None, False)
        await change(ordering, acme_check_at=None)


async def test_a_renewal_fails_for_days_and_succeeds_when_the_authority_is_back(
    ordering, proxy, service, authority: Authority
) -> None:
    await add(ordering, service)
    before = await hold(ordering, 20)
    argv, process = authority.servers.pop()
    process.kill()
    process.wait(10)
    for _ in range(12):
        await change(ordering, acme_check_at=None)
        await run_orders(ordering)
        (route,) = await read(ordering)
        assert "The certificate cannot be renewed: the authority could not be asked" in route.problem
        assert served(proxy)["/"] == ("custom", before.id, True)
    assert timedelta(minutes=59) < route.acme_check_at - now() <= timedelta(hours=1), "never longer than that"
    authority.start(*argv)
    await authority.wait()
    await change(ordering, acme_check_at=None)
    await run_orders(ordering)
    (route,) = await read(ordering)
    assert (route.problem, route.order_failures) == ("", 0)
    assert served(proxy)["/"][1] not in {None, before.id}


Spoil = Callable[[str, bytes], tuple[str, bytes] | None]


@dataclass
class Front:
    """Stands before the authority, and answers for it what `spoil` makes of path and body."""

    port: int = 0
    spoil: Spoil = field(default=lambda _path, _body: None)
    over: set[str] = field(default_factory=set)
    """Accounts (`kid`) and public keys (`x` of the `jwk`) that are deactivated: Pebble itself goes on with those."""
    seen: list[str] = field(default_factory=list)
    """The accounts that asked for anything."""

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    def is_over(self, body: bytes) -> bool:
        """Whether a request is signed by an account that is deactivated."""
        if not body:
            return False
        text = json.loads(body)["protected"]
        protected = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        account = str(protected.get("kid") or protected["jwk"]["x"])
        self.seen.append(account)
        return account in self.over


DEACTIVATED = (
    "application/problem+json",
    b'{"type": "urn:ietf:params:acme:error:unauthorized", "detail": "the account is deactivated", "status": 401}',
)
"""RFC 8555, 7.3.6."""


@pytest.fixture
def front(authority: Authority, tmp_path: Path) -> Iterator[Front]:
    made, behind = Front(), ssl.create_default_context(cafile=str(tmp_path / "root.pem"))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_over = made.is_over(body)
            way = ("HEAD", "/nonce-plz", b"") if is_over else (self.command, self.path, body)
            with closing(http.client.HTTPSConnection("localhost", authority.port, context=behind)) as connection:
                connection.request(*way, dict(self.headers) if not is_over else {})
                answer = connection.getresponse()
                content = answer.read()
            is_good = answer.status < 400  # a refused nonce stays one
            spoilt = DEACTIVATED if is_over else made.spoil(self.path, content) if is_good else None
            kind, content = spoilt or (answer.getheader("Content-Type") or "", content)
            self.send_response(401 if is_over else 200 if spoilt else answer.status)
            for name in ("Replay-Nonce", "Location", "Link"):
                for value in answer.headers.get_all(name, []):
                    self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else content)

        do_POST = do_GET  # noqa: N815 - what the server calls
        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "leaf.pem", tmp_path / "leaf.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.port = server.server_port
    yield made
    server.shutdown()
    server.server_close()


def of_certificates(make: Callable[[bytes], bytes], kind: str = "application/pem-certificate-chain") -> Spoil:
    return lambda path, body: (kind, make(body)) if path.startswith("/certZ/") else None


def backwards(body: bytes) -> bytes:
    """The same chain, issuers first, and a certificate of another path."""
    chain = x509.load_pem_x509_certificates(body)
    text = b"".join(each.public_bytes(Encoding.PEM) for each in reversed(chain))
    return issue("Another CA").certificate.encode() + text


UNUSABLE = {
    "html": (
        of_certificates(lambda _: b"<html>Welcome to the hotel</html>", "text/html"),
        "no certificate in PEM form",
    ),
    "another key": (of_certificates(lambda _: issue(HOSTNAME).certificate.encode()), "key does not belong"),
    "nothing": (of_certificates(lambda _: b""), "no certificate in PEM form"),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_what_is_no_certificate_for_us_is_not_served_and_waits(
    ordering, make_resources, proxy, service, front: Front, authority: Authority, tmp_path: Path, case: str
) -> None:
    spoilt = make_resources(acme={"directory_url": front.directory, "ca_root": tmp_path / "root.pem"})
    object.__setattr__(spoilt, "secret_box", ordering.secret_box)
    front.spoil, words = UNUSABLE[case]
    await add(spoilt, service)
    before = await hold(spoilt, 20)
    for _ in range(2):
        await run_orders(spoilt)
    (route,) = await read(spoilt)
    assert "cannot be renewed: what the authority issued cannot be used" in route.problem
    assert words in route.problem
    assert (authority.orders, route.order_failures) == (1, 1)
    assert timedelta(minutes=59) < route.acme_check_at - now()
    assert served(proxy)["/"] == ("custom", before.id, True)


async def test_a_chain_in_another_order_is_served_in_the_right_one(
    ordering, make_resources, proxy, service, front: Front, tmp_path: Path
) -> None:
    spoilt = make_resources(acme={"directory_url": front.directory, "ca_root": tmp_path / "root.pem"})
    object.__setattr__(spoilt, "secret_box", ordering.secret_box)
    front.spoil = of_certificates(backwards)
    await add(spoilt, service)
    await run_orders(spoilt)
    (route,) = await read(spoilt)
    assert route.problem == ""
    (shown,) = proxy.served.certificates
    chain = x509.load_pem_x509_certificates(shown.certificate.encode())
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOSTNAME]
    chain[0].verify_directly_issued_by(chain[1])
    async with spoilt.db.read() as session:
        row = (await session.scalars(select(OrderedCertificate))).one()
    assert row.not_after == chain[0].not_valid_after_utc


async def test_a_page_in_place_of_the_authority_is_an_authority_that_cannot_be_asked(
    ordering, make_resources, proxy, service, front: Front, authority: Authority, tmp_path: Path
) -> None:
    """Such as that of a hotel, a firewall or a maintenance: 200, and HTML."""
    spoilt = make_resources(acme={"directory_url": front.directory, "ca_root": tmp_path / "root.pem"})
    object.__setattr__(spoilt, "secret_box", ordering.secret_box)
    await add(spoilt, service)
    for failures, path in enumerate(("/dir", "/order-plz"), start=1):
        front.spoil = lambda asked, _, path=path: ("text/html", b"<html>Back soon</html>") if asked == path else None
        await run_orders(spoilt)
        (route,) = await read(spoilt)
        assert "the authority could not be asked: it answered 200 and nothing that ACME knows" in route.problem, (
            route.problem
        )
        assert (route.order_failures, route.acme_ready_at is not None) == (failures, True)
        await change(spoilt, acme_check_at=None)


@pytest.mark.parametrize("says_so", ["when it is asked for an order", "when we sign in"])
async def test_an_account_that_was_deactivated_is_replaced_once_for_all_names(
    ordering, make_resources, proxy, service, front: Front, authority: Authority, tmp_path: Path, says_so: str
) -> None:
    asked = make_resources(acme={"directory_url": front.directory, "ca_root": tmp_path / "root.pem"})
    object.__setattr__(asked, "secret_box", ordering.secret_box)
    for number in range(4):
        await add(asked, service, f"n{number}.example.org")
    await run_orders(asked)
    before = await account_key(asked)
    is_account = says_so == "when it is asked for an order"
    front.over = {account for account in front.seen if account.startswith("https:") == is_account}
    await renew_now(asked)
    await run_orders(asked)
    assert [(route.problem, route.order_failures) for route in await read(asked)] == [("", 0)] * 4
    assert await account_key(asked) != before
    log = (authority.folder / "log").read_text()
    assert "There are now 2 accounts in memory" in log
    assert "There are now 3 accounts in memory" not in log
