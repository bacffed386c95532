"""The settings section: its entry, and the page about the instance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request, Response

from orca import __version__
from orca.features.dashboard.instance import SettingRow, describe_settings
from orca.migrations import newest_version
from orca.web.guard import SIGNED_IN, CurrentResources, CurrentSubject, Router, guard
from orca.web.nav import SETTINGS, navigation
from orca.web.redirects import see_other
from orca.web.render import render

router = Router(include_in_schema=False)


@router.get("/settings")
@guard(SIGNED_IN, page=True)
async def show_settings(request: Request, subject: CurrentSubject) -> Response:
    """Go to the first page of the settings that the user may open: that of the account, if there is no other."""
    pages = (item.href for item in navigation(request.app.state.menus, subject) if item.section is SETTINGS)
    return see_other(request, next(pages, "/account"))


@dataclass(frozen=True, slots=True)
class InstancePage:
    """The instance: its version, and the settings it was started with."""

    topics: Mapping[str, Sequence[SettingRow]]
    facts: Sequence[tuple[str, str]]
    draining: str
    """Why this process takes no more work; empty while it does."""


@router.get("/settings/instance")
@guard("instance.admin", page=True)
async def show_instance(request: Request, resources: CurrentResources) -> Response:
    """Every setting with its value, where that comes from and what it means."""
    settings = resources.settings
    facts = [
        ("Orca", __version__),
        ("Panel", settings.panel_url),
        ("Database", "SQLite" if resources.db.is_sqlite else "PostgreSQL"),
        ("Schema", newest_version()),
        ("Data", str(settings.data_dir)),
    ]
    page = InstancePage(describe_settings(settings), facts, request.app.state.task_engine.draining)
    return render(request, "dashboard/instance.html", page)
