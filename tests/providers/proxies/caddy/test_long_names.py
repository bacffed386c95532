"""Names up to the longest that the DNS has are served with the internal certificate, and theirs are renewed, too."""

import pytest

from orca.providers.proxies.caddy import CaddyConfig, CaddyProxy
from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import ProxyConfig, ProxyRoute
from orca.sdk.testing.proxy_traffic import Visitor

pytestmark = pytest.mark.slow


def name_of(length: int, start: str = "") -> str:
    """A hostname of that many characters, in labels of 63 at most."""
    room = length - len(start) - len(".example.org")
    labels = [("x" * 63) for _ in range(room // 64)]
    rest = room - 64 * len(labels) - (1 if labels else 0)
    return f"{start}{'.'.join(['y' * (rest + (1 if labels else 0)), *labels])}.example.org"


LENGTHS = (239, 240, 252, 253)


async def test_long_names_are_served_and_renewed(config: CaddyConfig, running: CaddyProxy, visitor: Visitor) -> None:
    names = [name_of(length) for length in LENGTHS]
    assert [len(name) for name in names] == list(LENGTHS)
    wildcard = name_of(250, "*.")
    routes = [ProxyRoute(f"r{at}", name, tls="internal") for at, name in enumerate([*names, wildcard])]
    await running.apply(ProxyConfig(tuple(routes)))
    root = await running.internal_ca() or ""
    for name in (*names, f"abc{wildcard[1:]}"):
        answer = await visitor.get_securely(name, root=root)
        assert answer.status_code == 503, "the page of a service that does not run"
    for file in Layout.of(config).long_names.iterdir():
        file.write_text("damaged")
    before = {file.name: file.read_text() for file in Layout.of(config).names.iterdir()}
    state = await running.inspect()
    assert (state.drifted, len(state.config.routes if state.config else ())) == (False, len(routes))
    after = {file.name: file.read_text() for file in Layout.of(config).names.iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {*names[1:], wildcard.replace("*.", "_.")}
    assert (await visitor.get_securely(names[-1], root=root)).status_code == 503
    assert not (await running.inspect()).drifted
