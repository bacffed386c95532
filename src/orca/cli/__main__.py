"""`python -m orca.cli` does what `orc` does."""

from orca.cli.main import run

run()
