"""`python -m orca.migrations`: bring the database whose URL stands on standard input up to date."""

import sys

from sqlalchemy.engine import make_url

from orca.migrations import upgrade

upgrade(make_url(sys.stdin.read()))
