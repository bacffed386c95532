"""Labelled real repositories, where the machine has them: trees made from their manifests and facts, and the labels."""

from tests.providers.builders.corpus.compare import find_misses
from tests.providers.builders.corpus.entries import FOLDER, Entry, read_entries
from tests.providers.builders.corpus.trees import make_tree

__all__ = ["FOLDER", "Entry", "find_misses", "make_tree", "read_entries"]
