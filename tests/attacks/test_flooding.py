"""What a stranger can make grow, by asking again and again with something else each time."""

import io
import tarfile
import time

import pytest
import structlog
from tests.attacks.conftest import World

TAR = {"Content-Type": "application/x-tar"}
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


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{now}: &{now} [{','.join([f'*{before}'] * 9)}]" for before, now in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMBS = {
    "laughs": LAUGHS,
    "deep": "[" * 500_000,
    "aliases": "a: &a x\nb: [" + "*a," * 50_000 + "*a]",
    "keys": "\n".join(f"replica{number}: x" for number in range(9_990)),
    "anchors": "\n".join(f"k{number}: &a{number} x" for number in range(9_000)),
    "one line": "name: " + "x" * 1_000_000,
    "tags": "name: !!python/object/apply:os.system [id]",
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_an_orca_yaml_that_is_made_to_explode_is_told_and_keeps_nobody_waiting(world: World, bomb: str) -> None:
    packed, data = io.BytesIO(), BOMBS[bomb].encode()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("orca.yaml")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    path = f"/api/v1/projects/{world.ours.made['project_id']}/detect/archive"
    started = time.process_time()  # other tests share the cores
    answer = await world.browsers["owner"].post(path, content=packed.getvalue(), headers=TAR)
    assert time.process_time() - started < 5
    assert answer.status_code == 200, answer.text
    problems = answer.json()["orca_file"]["problems"]
    assert 0 < len(problems) <= 100
    assert len(str(problems)) < 50_000
