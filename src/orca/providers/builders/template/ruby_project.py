"""Reads a Gemfile and its lock file: gems and the version of Ruby; comments are ignored."""

import re
from dataclasses import dataclass

from orca.providers.builders.template.manifests import find_text, find_tool_version, minor_version
from orca.sdk.trees import Tree

_LATEST = "3.4"
_GEM = re.compile(r"^[ \t]*gem[ \t(]+[\"']([\w.-]+)[\"']", re.MULTILINE)
_LOCKED = re.compile(r"^ {2,6}([A-Za-z0-9][\w.-]*)(?: \(|!|$)", re.MULTILINE)
_BUNDLER = re.compile(r"^BUNDLED WITH\n[ \t]+(\d[\d.]*)", re.MULTILINE)
_PLATFORMS = re.compile(r"^PLATFORMS\n((?:[ \t]+[\w.-]{1,60}\n){1,30})", re.MULTILINE)
_LOCKED_RUBY = re.compile(r"^RUBY VERSION\n[ \t]+ruby (\d+\.\d+)", re.MULTILINE)
_RUBY = re.compile(
    r"^[ \t]*ruby[ \t(]+[\"'](?:~>[ \t]*(\d+\.\d+)\.\d+|(\d+\.\d+)(?:\.\d+)?(?:p\d+)?)[\"'][ \t)]*$", re.MULTILINE
)
_RANGE = re.compile(r"^[ \t]*ruby[ \t(]+(?=[\"'])([^\n#]{1,200})", re.MULTILINE)
_BOUND = re.compile(r"[\"'](>=|<=|<|>|~>|!=|=)?[ \t]{0,5}(\d{1,2})(?:\.(\d{1,2}))?(?:\.(\d{1,3}))?[\"']")
_KNOWN = ((3, 4), (3, 3), (3, 2), (3, 1), (3, 0), (2, 7), (2, 6), (2, 5))
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
    """The gems in the Gemfile."""
    locked: frozenset[str]
    """All gems in the lock file, if there is one."""
    needs_tree: bool
    bundler: str | None
    version: str
    pinned: str | None
    foreign: str = ""
    """The platforms of the lock file, if it supports neither Linux nor every platform."""

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
        needs_tree=bool(_NEEDS_TREE.search(gemfile) or _foreign(lock)) or tree.is_directory("vendor/cache"),
        bundler=bundler[1] if bundler else None,
        version=pinned or _newest_allowed(gemfile),
        pinned=pinned,
        foreign=_foreign(lock),
    )


def _foreign(lock: str) -> str:
    match = _PLATFORMS.search(lock)
    names = match[1].split() if match else []
    return "" if any(name == "ruby" or "linux" in name for name in names) else ", ".join(names[:5])


def _pin(tree: Tree, gemfile: str, lock: str) -> str | None:
    if pinned := minor_version(find_text(tree, ".ruby-version")):
        return pinned
    if match := _RUBY.search(gemfile):
        return match[1] or match[2]
    if match := _LOCKED_RUBY.search(lock):
        return match[1]
    tool = find_tool_version(tree, "ruby")
    return minor_version(tool[0]) if tool else None


def _newest_allowed(gemfile: str) -> str:
    """The newest Ruby within the bounds that the Gemfile sets: `ruby ">= 2.5", "< 3.2"`."""
    line = _RANGE.search(gemfile)
    bounds = _BOUND.findall(line[1]) if line else []
    fitting = (version for version in _KNOWN if all(_is_within(version, bound) for bound in bounds))
    found = next(fitting, None)
    return f"{found[0]}.{found[1]}" if found else _LATEST


def _is_within(version: tuple[int, int], bound: tuple[str, str, str, str]) -> bool:
    """Whether the newest patch of a version is on the right side of a bound."""
    sign, wanted, patch = bound[0], (int(bound[1]), int(bound[2] or 0)), int(bound[3] or 0)
    if sign == "<":
        return version < wanted or (version == wanted and patch > 0)
    if sign == "<=":
        return version <= wanted
    if sign == "~>":
        return version == wanted if bound[3] else version[0] == wanted[0] and version >= wanted
    return version >= wanted if sign in {">", ">="} else True


def ruby_listens(tree: Tree, path: str) -> bool:
    """Whether a program opens a port: itself, or a file beside it that it requires."""
    text = find_text(tree, path)
    folder = path.rpartition("/")[0]
    required = re.findall(r"^[ \t]*require_relative[ \t(]+[\"']([\w./-]+)[\"']", text, re.MULTILINE)[:20]
    beside = (f"{folder}/{name.removesuffix('.rb')}.rb".lstrip("/") for name in required if ".." not in name)
    return any(_LISTENING.search(content) for content in (text, *(find_text(tree, name) for name in beside)))
