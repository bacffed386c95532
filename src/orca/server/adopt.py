"""`orc adopt`: declares that this database, this key and the containers on the engine are one instance."""

import argparse
import asyncio
import sys

from orca.errors import OrcaError
from orca.server.serve import only_one
from orca.settings import Settings
from orca.startup.check import StartChoice, establish
from orca.startup.facts import describe
from orca.startup.integrity import check_integrity


def main() -> None:
    """Entry of `python -m orca.server.adopt [--lost-secrets]`."""
    parser = argparse.ArgumentParser(prog="orc adopt")
    parser.add_argument("--lost-secrets", action="store_true")
    lost = parser.parse_args().lost_secrets
    settings = Settings()
    try:
        with only_one(settings.data_dir):
            check_integrity(settings.database)
            identity = asyncio.run(establish(settings, StartChoice(adopt=True, lost_secrets=lost)))
    except OrcaError as error:
        raise SystemExit(f"not adopted: {error.message}\n{error.hint}") from None
    name = describe(settings.database)
    sys.stdout.write(
        f"The database {name} and {settings.data_dir} belong to the instance {identity.id} now.\n"
        "Start Orca. What is on the engine and in no row of this database is left alone.\n"
    )


if __name__ == "__main__":
    main()
