"""Source trees of entries: manifests as they are, and for code a few lines that do what the facts say of it."""

import re
from pathlib import Path

from tests.providers.builders.corpus.entries import Entry
from tests.providers.builders.corpus.stubs import write_stub


def make_tree(entry: Entry, folder: Path) -> Path:
    """The tree of an entry, below `folder`."""
    root = folder / entry.name
    root.mkdir()
    tails = {re.sub(r" \(.*\)$", "", path): text for path, text in entry.files.items()}
    for path in dict.fromkeys([*entry.tree, *tails, *entry.facts]):
        fact = entry.facts.get(path)
        link = re.match(r"symbolic link to (\S+)", fact) if isinstance(fact, str) else None
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if fact == "git submodule":
            target.mkdir(exist_ok=True)
        elif link:
            target.symlink_to(link[1])
        elif not target.exists():
            target.write_text(tails[path] if path in tails else write_stub(path, fact, entry))
    return root
