"""What a Gemfile and its lock file say: gems and the version of Ruby; comments do not count."""

import re
from dataclasses import dataclass

from orca.providers.builders.template.manifests import find_text, find_tool_version, minor_version
from orca.sdk.trees import Tree

_LATEST = "3.4"
_GEM = re.compile(r"^[ \t]*gem[ \t(]+[\"']([\w.-]+)[\"']", re.MULTILINE)
_LOCKED = re.compile(r"^ {2,6}([A-Za-z0-9][\w.-]*)(?: \(|!|$)", re.MULTILINE)
_BUNDLER = re.compile(r"^BUNDLED WITH\n[ \t]+(\d[\d.]*)", re.MULTILINE)
_LOCKED_RUBY = re.compile(r"^RUBY VERSION\n[ \t]+ruby (\d+\.\d+)", re.MULTILINE)
_RUBY = re.compile(
    r"^[ \t]*ruby[ \t(]+[\"'](?:~>[ \t]*(\d+\.\d+)\.\d+|(\d+\.\d+)(?:\.\d+)?(?:p\d+)?)[\"'][ \t)]*$", re.MULTILINE
)
_NEEDS_TREE = re.compile(r"^[ \t]*(?:path|gemspec|eval_gemfile)\b|\bpath:|:path\b", re.MULTILINE)
_LISTENING = re.compile(
    r"^[ \t]*require[ \t(]+[\"'](?:sinatra|rack|puma|webrick|socket|roda|hanami|grape|falcon|thin|async/http)"
    r"|^[^#\n]*\b(?:TCPServer|WEBrick|Sinatra)\b",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class RubyProject:
    """A Gemfile, read."""

    gems: frozenset[str]
    """Those that the Gemfile names."""
    locked: frozenset[str]
    """All of them, where there is a lock file."""
    needs_tree: bool
    bundler: str | None
    version: str
    pinned: str | None

    def has(self, *names: str) -> bool:
        """Whether it depends on one of the gems, directly or not."""
        return not self.locked.union(self.gems).isdisjoint(names)


def read_ruby(tree: Tree) -> RubyProject:
    """The Gemfile of a tree."""
    gemfile, lock = find_text(tree, "Gemfile"), find_text(tree, "Gemfile.lock")
    bundler = _BUNDLER.search(lock)
    pinned = _pin(tree, gemfile, lock)
    return RubyProject(
        gems=frozenset(_GEM.findall(gemfile)),
        locked=frozenset(_LOCKED.findall(lock)),
        needs_tree=bool(_NEEDS_TREE.search(gemfile)) or tree.is_directory("vendor/cache"),
        bundler=bundler[1] if bundler else None,
        version=pinned or _LATEST,
        pinned=pinned,
    )


def _pin(tree: Tree, gemfile: str, lock: str) -> str | None:
    if pinned := minor_version(find_text(tree, ".ruby-version")):
        return pinned
    if match := _RUBY.search(gemfile):
        return match[1] or match[2]
    if match := _LOCKED_RUBY.search(lock):
        return match[1]
    tool = find_tool_version(tree, "ruby")
    return minor_version(tool[0]) if tool else None


def ruby_listens(tree: Tree, path: str) -> bool:
    """Whether a program opens a port: itself, or a file beside it that it requires."""
    text = find_text(tree, path)
    folder = path.rpartition("/")[0]
    required = re.findall(r"^[ \t]*require_relative[ \t(]+[\"']([\w./-]+)[\"']", text, re.MULTILINE)[:20]
    beside = (f"{folder}/{name.removesuffix('.rb')}.rb".lstrip("/") for name in required if ".." not in name)
    return any(_LISTENING.search(each) for each in (text, *(find_text(tree, name) for name in beside)))
