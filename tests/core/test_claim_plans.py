"""The queries of a claim go by indexes on both databases: their cost does not grow with the number of queued tasks."""

from typing import Any

import pytest
from sqlalchemy import insert, text

from orca.db import Database, now
from orca.tasks import Task, claims
from orca.tasks.claims import Claimant
from orca.tasks.lanes import ANYTHING

pytestmark = pytest.mark.slow

QUEUED, RUNNING, TEAMS, TARGETS = 5000, 200, 50, 2000
CLAIMANT = Claimant("w", ["Sail"], ["system:local"])


@pytest.fixture
async def busy(db: Database) -> Database:
    def row(number: int, state: str, target: int) -> dict[str, Any]:
        return {"id": f"{state}-{number}", "seq": number, "name": "Sail", "target": f"t{target}", "state": state,
                "lane": "deploy", "priority": number % 3, "team_id": f"team-{number % TEAMS}"}  # fmt: skip

    running = [row(number, "running", number) for number in range(RUNNING)]
    queued = [row(number, "queued", number % TARGETS) for number in range(QUEUED)]
    async with db.write() as session:
        await session.execute(insert(Task), running + queued)
        await session.execute(text("ANALYZE tasks"))
    return db


async def explain(db: Database, query: Any) -> str:
    statement = query.compile(dialect=db.engine.dialect, compile_kwargs={"literal_binds": True})
    verb = "EXPLAIN QUERY PLAN" if db.is_sqlite else "EXPLAIN"
    async with db.engine.connect() as connection:
        rows = (await connection.exec_driver_sql(f"{verb} {str(statement).replace('%%', '%')}")).all()
    return "\n".join(str(row[-1]) for row in rows)


def check_goes_by_indexes(plan: str) -> None:
    assert "ix_tasks_in_line_of_target" in plan, plan
    assert "uq_tasks_held_target" in plan, plan
    assert "Seq Scan on tasks" not in plan, plan
    assert "SCAN tasks" not in plan, plan


@pytest.mark.parametrize("offers", [("system:local",), (ANYTHING,)])
async def test_claimable_tasks_are_read_in_the_order_of_an_index(busy: Database, offers: tuple[str, ...]) -> None:
    claimant = Claimant("w", ["Sail"], offers)
    plan = await explain(busy, claims._locked(claims._find_claimable(claimant, "deploy", now()), 12))
    check_goes_by_indexes(plan)
    assert "ix_tasks_in_line " in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan


async def test_the_first_task_of_each_team_is_found_without_reading_the_others(busy: Database) -> None:
    plan = await explain(busy, claims.heads_of_teams(CLAIMANT, "deploy", ["team-1", "team-2"], now()))
    check_goes_by_indexes(plan)
    assert "ix_tasks_in_line_of_team" in plan, plan


async def test_conditions_of_partial_indexes_are_no_parameters(busy: Database) -> None:
    sent = str(claims._find_claimable(CLAIMANT, "deploy", now()).compile(dialect=busy.engine.dialect))
    assert sent.count("'queued'") == 3
    assert "'running'" in sent
    assert "epoch > 0" in sent
