"""Real repositories are detected as people who read their code have labelled them."""

import sys
from collections.abc import Collection
from pathlib import Path

import pytest
from tests.providers.builders.corpus import FOLDER, Entry, find_misses, make_tree, read_entries

from orca.features.services.schemas.settings import BuildOptions
from orca.features.services.steps.find_builder import find_builder
from orca.providers.builders.buildkit import BuildKitConfig, DockerClient
from orca.providers.builders.dockerfile import DockerfileBuilder
from orca.providers.builders.template import TemplateBuilder
from orca.providers.connectors.local import LocalConnector
from orca.sdk.builders import Detection, Refusal

RIGHT = 0.95
"""The share that has to be right, of all labels and of the certain ones. Disputed ones count as wrong."""

DISPUTED = {
    "eleventy-base-blog": "The label says that any Node.js will do; .nvmrc pins 22, and the corpus' own rule 16 takes it.",
    "railpack--mise-config": "The label takes no version because two files disagree; engines.node says exactly 22, and the "
    "corpus' own order puts it before mise.toml.",
    "starlight--examples-basics": "The manager is named two folders above the entry, which is not in its tree; the label "
    "itself says `alone: npm install`.",
    "pocket-id--frontend": "The version of pnpm and the folder outside of the entry are facts of files that its tree lacks.",
    "render--docusaurus-v1": "The label wants one site and, at once, the builder `several`; the repository has a Dockerfile.",
}
"""Labels that cannot be right as they stand, and why."""

ENTRIES = read_entries()


async def detect(tree: Path) -> Detection | Refusal | None:
    client = DockerClient(LocalConnector(), BuildKitConfig())
    builders = {"dockerfile": DockerfileBuilder(client), "template": TemplateBuilder(client)}
    found = await find_builder(builders, tree, BuildOptions())
    return found[1] if isinstance(found, tuple) else found


async def find_wrong(entry: Entry, folder: Path) -> list[str]:
    try:
        return find_misses(entry, await detect(make_tree(entry, folder)))
    except Exception as error:  # noqa: BLE001 - one that fails is one that is not detected
        return [f"{type(error).__name__}: {error}"]


def count(misses: Collection[str], names: list[str]) -> tuple[int, int]:
    return len([name for name in names if name not in misses]), len(names)


if FOLDER.is_dir():

    async def test_labelled_repositories_are_detected_as_labelled(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        misses = {entry.name: wrong for entry in ENTRIES if (wrong := await find_wrong(entry, tmp_path))}
        certain = [entry.name for entry in ENTRIES if entry.is_certain]
        shares = {"all": count(misses, [entry.name for entry in ENTRIES]), "certain": count(misses, certain)}
        with capsys.disabled():
            for name, (right, number) in shares.items():
                sys.stdout.write(f"\n{right} of {number} {name} labels are met ({right / number:.1%})")
        lines = [f"{name}: {'; '.join(wrong)}" for name, wrong in misses.items()]
        assert all(right / number >= RIGHT for right, number in shares.values()), "\n".join(lines)
        assert misses.keys() >= DISPUTED.keys(), "a disputed label is met: take it off the list"
