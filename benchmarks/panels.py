"""A panel for a measurement, gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Panel, make_panel, remove_all_of


@contextmanager
def new_panel(**env: str) -> Iterator[Panel]:
    panel = make_panel(Path(tempfile.mkdtemp(prefix="orca-bench-")) / "panel", ORC_LOG_LEVEL="warning", **env)
    try:
        yield panel
    finally:
        panel.stop()
        remove_all_of(panel)
        shutil.rmtree(panel.data_dir.parent, ignore_errors=True)
