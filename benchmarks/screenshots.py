"""Pictures of the pages of the panel: `python -m benchmarks.screenshots FOLDER` makes some 200 PNG files to look at.

Each page with 3 services of long and non-Latin names and with 1,000, at 390, 1280 and 1920 pixels, light and dark.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright
from sqlalchemy import make_url, select
from tests.conftest import OWNER, Panel

from benchmarks.large import FULL, Large, Size, fill
from benchmarks.panels import new_panel
from orca.db import Database
from orca.features.deployments.models import Deployment
from orca.features.services.models import Service

SMALL = Size(services=3, live=2, events=200, log_lines=120)
SIZES = {"3": SMALL, "1000": FULL}
WIDTHS = (390, 1280, 1920)
THEMES = ("light", "dark")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"]
NAMES = (
    "A service with a name that is as long as a name of a service may ever be",
    "витрина магазина",
    "結帳服務",
)
OF_SERVICE = ("", "/deployments", "/output", "/variables", "/domains", "/hooks", "/volumes", "/settings")
OF_ALL = {
    "overview": "/", "projects": "/projects", "activity": "/activity", "systems": "/systems", "tokens": "/tokens",
    "account": "/account", "certificates": "/certificates", "credentials": "/credentials",
    "webhooks": "/webhooks", "instance": "/settings/instance", "missing": "/not-there",
}  # fmt: skip


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a part of the names of the files")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    missing: set[str] = set()
    for label, size in SIZES.items():
        with filled_panel(size) as (panel, large), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            missing |= take(browser, panel, large, label, options)
    if missing:
        sys.exit(f"no such pages: {', '.join(sorted(missing))}")


@contextmanager
def filled_panel(size: Size) -> Iterator[tuple[Panel, Large]]:
    """A panel without a worker and with rows of that many services."""
    with new_panel(ORC_WORKER="false") as panel:
        panel.start()
        panel.wait_ready()
        token = (panel.data_dir / "claim-token").read_text().strip()
        with panel.client() as local:
            local.post("/api/v1/claim", json={**OWNER, "token": token}).raise_for_status()
            team = local.get("/api/v1/me").json()["team_id"]
        large = asyncio.run(fill(panel.data_dir, team, size))
        asyncio.run(rename(panel.data_dir, large))
        yield panel, large


async def rename(data_dir: Path, large: Large) -> None:
    """Give the first services names that are hard to draw, and let their newest deployment have failed."""
    db = Database(make_url(f"sqlite+aiosqlite:///{data_dir}/orc.db"))
    async with db.write() as session:
        services = (await session.scalars(select(Service).order_by(Service.slug).limit(len(NAMES)))).all()
        for service, name in zip(services, NAMES, strict=True):
            service.name = name
        deployment = await session.get_one(Deployment, large.deployment)
        deployment.state = "failed"
        deployment.reason = "the health check `GET /` was answered with 404 for 60 s; set `health.path`"
    await db.close()


def take(browser: Browser, panel: Panel, large: Large, label: str, options: argparse.Namespace) -> set[str]:
    """Write the pictures of one instance; return the pages that there are not."""
    paths = {
        **OF_ALL, "project": f"/projects/{large.project}", "deployment": f"/deployments/{large.deployment}",
        "new-service": f"/projects/{large.project}/services/new", "access": f"/projects/{large.project}/access",
        **{f"service{tab.replace('/', '-')}": f"/services/{large.service}{tab}" for tab in OF_SERVICE},
    }  # fmt: skip
    missing = set()
    with browser.new_context(base_url=panel.url) as context:
        answer = context.request.post("/api/v1/session", data={key: OWNER[key] for key in ("email", "password")})
        assert answer.status == 201, answer.text()
        for name, path in paths.items():
            if options.only in f"{name}-{label}":
                missing |= {path for ok in draw(context, path, options.folder / f"{name}-{label}") if not ok}
    return missing - {OF_ALL["missing"]}


def draw(context: BrowserContext, path: str, file: Path) -> Iterator[bool]:
    """Write the pictures of one page; yield whether there is such a page."""
    page = context.new_page()
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            answer = page.goto(path, wait_until="load")
            page.wait_for_timeout(400)
            page.screenshot(path=f"{file}-{width}-{theme}.png")
            yield answer is not None and answer.ok
    page.close()


if __name__ == "__main__":
    main()
