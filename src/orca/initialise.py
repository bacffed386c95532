"""`orc init`: look at a directory and print a commented orca.yaml for it, or the Dockerfile a template would use."""

import argparse
import asyncio
import sys
from pathlib import Path

from orca.errors import OrcaError
from orca.features.services.orca_file import render_orca_file
from orca.plugins import choose, load_plugins
from orca.sdk.builders import Detection


async def detect(folder: Path) -> Detection | None:
    """What the first builder that fits finds; builders are asked in their order, files are only read."""
    plugins = load_plugins()
    connect = choose(plugins.connectors, "local", what="connector")()
    async with connect.open(connect.Config()) as connector:
        for provider in sorted((each() for each in plugins.builders.values()), key=lambda each: each.order):
            async with provider.open(provider.Config(), connector) as builder:
                found = await builder.detect(folder)
            if found is not None:
                return found
    return None


def main() -> None:
    """Entry of `python -m orca.initialise <directory> [--eject]`; prints to standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--eject", action="store_true", help="print the Dockerfile instead")
    options = parser.parse_args()
    folder = options.directory.resolve()
    if not folder.is_dir():
        sys.exit(f"error: {folder} is not a directory")
    try:
        found = asyncio.run(detect(folder))
    except OrcaError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
    if options.eject and found is None:
        sys.exit("error: nothing here says how to build it\nhint: Add a Dockerfile, or a file that a template knows.")
    sys.stdout.write(found.dockerfile if options.eject and found else render_orca_file(folder.name, found))


if __name__ == "__main__":
    main()
