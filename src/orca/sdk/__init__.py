"""The package for plugins, which import only this, `orca.errors` and `orca.kit`: a module per family, and suites."""

from typing import Final

VERSION: Final = 1
"""Version of the contracts in this package: raised when a provider that was made for the earlier one may fail.

A provider class says by `sdk_version: ClassVar[int] = 1` for which one it was made, and is used only where that is the
version of Orca; one that says nothing is taken to fit.
"""
