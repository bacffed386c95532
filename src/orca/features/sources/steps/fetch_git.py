"""Fetches the repository of a service to a tree on disk: credential, trusted host keys, checkout."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orca.features.credentials.queries import open_git_credential
from orca.features.sources.rules import GitRef, RepoUrl
from orca.features.sources.schemas import GitSource
from orca.features.sources.steps.checkout_git import Checkout, GitCheckout, checkout_git
from orca.resources import Resources
from orca.sdk.builders import Log
from orca.systems import LOCAL
from orca.web.guard import Scope


async def fetch_git(
    resources: Resources, scope: Scope, source: GitSource, into: Path, log: Log, **bounds: Any
) -> Checkout:
    """Fetch into a new directory. `bounds`: `limits` and `deadline` of the `GitCheckout`. Raises what checkout does."""
    request = await prepare_checkout(resources, scope, source, into, **bounds)
    return await checkout_git(await resources.systems.connector(LOCAL), request, log)


async def prepare_checkout(
    resources: Resources, scope: Scope, source: GitSource, into: Path, **bounds: Any
) -> GitCheckout:
    """Return what to fetch, with the credential for it."""
    settings, url = resources.settings.git, RepoUrl.parse(source.repository)
    async with resources.db.read() as session:
        login = await open_git_credential(session, resources.secret_box, scope, source.credential_id, url.authority)
    authority = await asyncio.to_thread(settings.ca_file.read_text) if settings.ca_file else None
    return GitCheckout(
        url=url,
        ref=GitRef.parse(source.commit or source.branch or source.tag or "HEAD"),
        into=into,
        submodules=source.submodules,
        private_networks=settings.private_networks,
        certificate_authority=authority,
        **asdict(login),
        **bounds,
    )
