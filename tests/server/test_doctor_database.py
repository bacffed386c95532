"""`orc doctor` reads the whole database, and says what is wrong with it and what to do."""

import asyncio
import shutil
from pathlib import Path

from tests.conftest import make_settings

from orca.instance.marker import note_progress
from orca.server.doctor import run
from orca.startup.check import establish


def test_doctor_says_how_the_database_is(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", docker={"host": f"unix://{tmp_path}/no.sock"})

    def finding() -> tuple[str, str, str]:
        found = next(each for each in asyncio.run(run(settings)) if each.name in {"database", "instance"})
        return found.state, found.message, found.remedy

    assert finding()[0] == "ok"
    assert not (settings.data_dir / "secret.key").exists(), "a look makes no key"
    asyncio.run(establish(settings))
    assert finding()[0] == "ok"
    note_progress(settings.data_dir, 12, "seen")
    assert "later ones had been seen" in finding()[1]
    shutil.copy(settings.data_dir / "secret.key", tmp_path)
    (settings.data_dir / "secret.key").write_bytes(b"half")
    state, message, remedy = finding()
    assert (state, "is not a key" in message, bool(remedy)) == ("problem", True, True)
