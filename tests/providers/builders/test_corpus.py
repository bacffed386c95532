"""Real repositories are detected as people who read their code have labelled them."""

import sys
from pathlib import Path

import pytest
from tests.providers.builders.corpus import FOLDER, Entry, find_misses, make_tree, read_entries

from orca.features.services.schemas import BuildOptions
from orca.features.services.steps.find_builder import find_builder
from orca.providers.builders.dockerfile import DockerfileBuilder
from orca.providers.builders.template import TemplateBuilder
from orca.providers.connectors.local import LocalConnector
from orca.sdk.builders import Detection, Refusal
from orca.sdk.buildkit import BuildKitConfig, DockerClient

RIGHT = 0.95
"""The share of the certain labels that has been reached; it only goes up, to 0.95."""

ENTRIES = read_entries()


async def detect(tree: Path) -> Detection | Refusal | None:
    client = DockerClient(LocalConnector(), BuildKitConfig())
    builders = {"dockerfile": DockerfileBuilder(client), "template": TemplateBuilder(client)}
    found = await find_builder(builders, tree, BuildOptions())
    return found[1] if isinstance(found, tuple) else found


if FOLDER.is_dir():

    async def test_labelled_repositories_are_detected_as_labelled(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        misses: dict[str, list[str]] = {}
        certain: list[Entry] = [entry for entry in ENTRIES if entry.is_certain]
        for entry in certain:
            try:
                wrong = find_misses(entry, await detect(make_tree(entry, tmp_path)))
            except Exception as error:  # noqa: BLE001 - one that fails is one that is not detected
                wrong = [f"{type(error).__name__}: {error}"]
            if wrong:
                misses[entry.name] = wrong
        share = 1 - len(misses) / len(certain)
        lines = [f"{name}: {'; '.join(wrong)}" for name, wrong in misses.items()]
        with capsys.disabled():
            sys.stdout.write(
                f"\n{len(certain) - len(misses)} of {len(certain)} repositories are as labelled ({share:.1%})\n"
            )
        assert share >= RIGHT, "\n".join(lines)
