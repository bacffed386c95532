"""What steps work with."""

from pathlib import Path
from typing import Any

import pytest

from orca.features.deployments.models import Deployment
from orca.features.deployments.steps.work import Facts
from orca.sdk.trees import UnsafePath

NOTHING: Any = None


def facts(subdirectory: str) -> Facts:
    row = Deployment(source={"type": "git", "subdirectory": subdirectory}, config={})
    return Facts(row, NOTHING, None, None, {})


def test_a_subdirectory_is_found(tmp_path: Path) -> None:
    (tmp_path / "apps" / "web").mkdir(parents=True)
    work: Any = type("W", (), {"tree": tmp_path})()
    assert facts("apps/web").source_folder(work) == tmp_path / "apps" / "web"
    assert facts("").source_folder(work) == tmp_path


def test_a_link_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    (tmp_path / "apps").symlink_to("/etc")
    work: Any = type("W", (), {"tree": tmp_path})()
    with pytest.raises(UnsafePath):
        facts("apps/ssl").source_folder(work)
