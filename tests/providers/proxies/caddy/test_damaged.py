"""What a full disk or a power cut leaves of certificates is noticed and made anew; challenges are files."""

import asyncio
import os
import time

import httpx
import psutil
import pytest

from orca.errors import BadInput, ProviderUnavailable
from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy
from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import ProxyConfig, ProxyRoute
from orca.sdk.testing.proxy_traffic import Visitor

pytestmark = pytest.mark.slow
NAME = "r1.localhost"


@pytest.mark.parametrize("half", ["crt", "key"])
async def test_a_damaged_certificate_is_made_anew(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor, half: str
) -> None:
    await running.apply(ProxyConfig(routes=(ProxyRoute(id="r1", hostname=NAME, tls="internal"),)))
    root = await running.internal_ca()
    assert root is not None
    folder = Layout.of(config).storage / "certificates" / "local" / NAME
    while not (folder / f"{NAME}.key").exists():  # noqa: ASYNC110 - Caddy sets no event here
        await asyncio.sleep(0.1)
    for file in folder.iterdir():
        if file.suffix == f".{half}":
            file.write_text("garbage")
        os.utime(file, (time.time() - 60,) * 2)
    state = await running.inspect()
    assert state.running
    async with asyncio.timeout(20):
        while True:
            try:
                answer = await visitor.get_securely(NAME, root=root)
                break
            except (httpx.HTTPError, OSError):  # the certificate is being made
                await asyncio.sleep(0.2)
    assert answer.status_code == 503, "the page of a service that does not run"
    assert {each.hostname for each in await running.certificates()} == {NAME}


async def test_a_challenge_is_answered_on_port_80_of_every_name_without_a_reload(
    running: CaddyProxy, visitor: Visitor
) -> None:
    path = "/.well-known/acme-challenge/token-1_A"
    assert (await visitor.get("any.example.org", path)).status_code == 404
    await running.show_challenge("token-1_A", "token-1_A.thumbprint")
    answer = await visitor.get("any.example.org", path)
    assert (answer.status_code, answer.text) == (200, "token-1_A.thumbprint")
    await running.drop_challenge("token-1_A")
    await running.drop_challenge("token-1_A")
    assert (await visitor.get("any.example.org", path)).status_code == 404
    for bad in ("../x", "", "a/b", "a.b"):
        with pytest.raises(BadInput):
            await running.show_challenge(bad, "x")


async def test_an_edge_that_died_alone_is_missed_and_started_again(
    config: CaddyConfig, running: CaddyProxy, visitor: Visitor
) -> None:
    sites = ProxyConfig(routes=(ProxyRoute(id="r1", hostname=NAME),))
    await running.apply(sites)
    process = psutil.Process(int(Layout.of(config).edge.pid_file.read_text().split()[0]))
    process.kill()
    process.wait(10)
    with pytest.raises(ProviderUnavailable):
        await running.apply(sites)
    assert not (await running.inspect()).running
    await running.start()
    await running.apply(sites)
    assert (await visitor.get(NAME)).status_code == 503
