"""`orc init`: inspects a directory and prints a commented orca.yaml for it, or the files of its build template.

`orc deploy` uses it to check whether the server can use an existing orca.yaml.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from orca.errors import BadInput, OrcaError
from orca.features.services import detection as rules
from orca.features.services.detection import Folder
from orca.features.services.orca_file import FILE_NAME, parse_orca_file, render_orca_file
from orca.features.services.rules import name_port_choices
from orca.features.services.schemas.settings import BuildOptions
from orca.features.services.steps.find_builder import find_builder
from orca.plugins import load_plugins
from orca.sdk.builders import Detection, Refusal
from orca.sdk.trees import Tree
from orca.settings import Settings
from orca.systems import LOCAL, Systems
from orca.systems.defaults import Defaults

NOTHING, SEVERAL = 3, 4
"""Exit codes: nothing here can be built, or the port is ambiguous; the output has the reason or the ports."""


async def detect(folder: Path, build: BuildOptions) -> Detection | Refusal | None:
    """Return the detection of the first builder that fits, or why none does; files are only read."""
    systems = Systems(None, load_plugins(), Defaults(Settings.model_construct(), instance="", proxy_folder=""))
    try:
        found = await find_builder(await systems.builders(LOCAL), folder, build)
    finally:
        await systems.close()
    return found[1] if isinstance(found, tuple) else found


async def check(folder: Path) -> dict[str, Any]:
    """Return the kind of service in a folder, its possible `ports`, and the `problem` of its orca.yaml.

    Raises OrcaError.
    """
    try:
        file = parse_orca_file(Tree(folder).find_text(FILE_NAME) or "")
    except BadInput as error:
        told = {"status": error.status, "code": error.code, "detail": error.message, "hint": error.hint}
        return {"problem": {**told, **error.details}}
    if file.kind and file.ports:
        return {"kind": file.kind}
    found = await detect(folder, file.build)
    plan = found if isinstance(found, Detection) else None
    kind = file.kind or (plan.service_kind if plan else None)
    asked = plan.port_choices if plan and plan.port is None and kind != "worker" and not file.ports else ()
    return {"kind": kind, "ports": asked}


def explain(folder: Path, refusal: Refusal | None) -> dict[str, Any]:
    """Return why nothing here can be built, and what would help: `reason`, `hint`, `lines`."""
    names = [rules.show_name(name) for name in Tree(folder).names() if name != ".git"]
    candidates = refusal.candidates if refusal else ()
    folders = [
        Folder(path=candidate.folder, summary=candidate.title, options=dict(candidate.options))
        for candidate in candidates
    ]
    hints = rules.find_hints(names, folders, refusal.hint if refusal else "")
    reason = refusal.reason if refusal else "nothing here says how to build it"
    return {"reason": reason, "hint": hints[0 if refusal else -1], "lines": hints[1:] if refusal else hints[:-1]}


def main() -> None:
    """Entry of `python -m orca.server.inspect_folder <directory> [--eject|--check]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--eject", action="store_true", help="give the Dockerfile and what it needs instead")
    parser.add_argument("--check", action="store_true", help="check the orca.yaml that is there instead")
    parser.add_argument("--port", type=int, help="where it listens, whatever is found")
    options = parser.parse_args()
    folder = options.directory.resolve()
    if not folder.is_dir():
        sys.exit(f"error: {folder} is not a directory")
    try:
        if options.check:
            json.dump(asyncio.run(check(folder)), sys.stdout)
            return
        found = asyncio.run(detect(folder, BuildOptions()))
    except OrcaError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
    if not isinstance(found, Detection):
        json.dump(explain(folder, found), sys.stdout)
        sys.exit(NOTHING)
    found = replace(found, port=options.port or found.port)
    if found.port is None and found.port_choices and not options.eject:
        reason, hint = name_port_choices(found.port_choices)
        json.dump({"reason": reason, "hint": hint, "ports": found.port_choices}, sys.stdout)
        sys.exit(SEVERAL)
    ejected = {"Dockerfile": found.dockerfile, **found.files} if options.eject else None
    json.dump(ejected or {FILE_NAME: render_orca_file(folder.name, found)}, sys.stdout)


if __name__ == "__main__":
    main()
