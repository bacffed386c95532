"""What a stranger can make grow, by asking again and again with something else each time."""

import pytest
import structlog
from tests.attacks.conftest import World

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_invented_methods_leave_neither_numbers_nor_words(world: World) -> None:
    methods = [f"INVENTED-{number}" for number in range(50)] + ["A" * 4000]
    with structlog.testing.capture_logs() as logged:
        for method in methods:
            for path in ("/api/health", "/login", "/nowhere", "/static/nothing"):
                assert (await world.anonymous.request(method, path)).status_code in {404, 405}
    numbers = (await world.admin.get("/api/metrics")).text
    assert "INVENTED" not in numbers
    assert 'method="other"' in numbers
    assert "A" * 100 not in numbers
    assert {entry["method"] for entry in logged if entry["event"] == "request"} == {"other"}
