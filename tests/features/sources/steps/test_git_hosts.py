"""INJ-06: what lets Orca into one host is sent to no other, whatever the one host answers."""

from typing import Any

import pytest
from tests.features.sources.steps.conftest import TOKEN
from tests.features.sources.steps.test_checkout_git import Fetch

from orca.errors import OrcaError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("way", ["moved", "late"])
async def test_a_redirect_is_not_followed_to_another_host(
    fetch: Fetch, server: Any, elsewhere: Any, make_repository: Any, way: str
) -> None:
    """Neither that of the first request, nor one that comes when the objects are asked for."""
    make_repository("app.git").commit({"a": "x"})
    server.redirect_to = elsewhere.url("")
    with pytest.raises(OrcaError):
        await fetch(server.url(f"/{way}/app.git"), token=TOKEN, certificate_authority=server.certificate_authority)
    assert any(sent for _, sent in server.requests), "the host itself gets the token"
    assert elsewhere.requests == []


async def test_a_plain_file_server_leads_to_no_other_host(
    fetch: Fetch, server: Any, elsewhere: Any, make_repository: Any
) -> None:
    """Git's older protocol lets a repository say that its objects are somewhere else."""
    commit = make_repository("app.git").commit({"a": "x"})
    server.dumb |= {
        "/app.git/HEAD": (200, [], b"ref: refs/heads/main\n"),
        "/app.git/info/refs": (200, [("Content-Type", "text/plain")], f"{commit}\trefs/heads/main\n".encode()),
        "/app.git/objects/info/http-alternates": (200, [], elsewhere.url("/app.git/objects\n").encode()),
    }
    with pytest.raises(OrcaError):
        await fetch(server.url("/dumb/app.git"), token=TOKEN, certificate_authority=server.certificate_authority)
    assert any(path.endswith("/http-alternates") for path, _ in server.requests), "git did ask for other places"
    assert elsewhere.requests == []


async def test_a_submodule_of_another_host_is_fetched_as_nobody(
    fetch: Fetch, server: Any, elsewhere: Any, make_repository: Any
) -> None:
    lib = make_repository("lib.git").commit({"lib.py": "lib"})
    repository = make_repository("private/app.git")
    module = f'[submodule "lib"]\n\tpath = lib\n\turl = {elsewhere.url("/lib.git")}\n'
    repository.commit({".gitmodules": module})
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{lib},lib")
    repository.git("commit", "-qm", "module")
    repository.push()
    options = {"token": TOKEN, "certificate_authority": server.certificate_authority, "submodules": True}
    checkout = await fetch(server.url("/private/app.git"), **options)
    assert (checkout.tree / "lib/lib.py").read_text() == "lib"
    assert all(sent for _, sent in server.requests)
    assert {sent for _, sent in elsewhere.requests} == {None}
