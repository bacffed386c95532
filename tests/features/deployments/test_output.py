"""What containers write is shown without the secrets that they know."""

import json

from tests.features.deployments.bench import Bench

from orca.features.deployments import queries
from orca.features.deployments.output import OutputRange, follow_output, list_hidden
from orca.features.secrets.actions import put_secret
from orca.features.services.models import Service
from orca.web.guard import Scope


async def read(bench: Bench, service: Service) -> list[str]:
    engine = await bench.engine()
    replicas = await engine.observe({"orca.service": service.id})
    hidden = await list_hidden(bench.resources, Scope(service.team_id), service.id, replicas)
    lines = follow_output(engine, replicas, OutputRange(100, follow=False, hidden=hidden))
    return [line.text async for line, _ in lines]


async def test_known_secrets_are_hidden_in_what_containers_write_unless_switched_off(bench: Bench) -> None:
    """Before, `orc logs` and the page showed every secret that a process printed."""
    service = await bench.make_service()
    await bench.resources.tasks.start(bench.resources)
    ended = await bench.make_web_live(service)
    (container,) = await bench.host.inspect({"orca.service": service.id})
    async with bench.resources.db.write() as session:
        live = await queries.find_live(session, service.id)
        assert live is not None
        await put_secret(
            session, bench.resources.secret_box, team_id=service.team_id, owner=("release", live.release_id),
            name="variables", value=json.dumps({"TOKEN": "hush-hush", "KEY": "line one\nline two\n", "N": "1"}),
        )  # fmt: skip
    assert ended.state == "succeeded"
    for text in ("token hush-hush!", "line two", "1 request"):
        bench.host.write(container.name, text)
    assert await read(bench, service) == ["token •••!", "•••", "1 request"]
    await bench.edit(service, masks_secrets=False)
    assert "token hush-hush!" in await read(bench, service)
