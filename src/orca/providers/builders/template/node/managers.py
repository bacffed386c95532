"""The package manager: which one, which version of it, and the commands that it needs."""

import posixpath
import re
from dataclasses import dataclass

from orca.providers.builders.template.node.package import NodeProject, Package

_LOCKS = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}
LOCK_FILES = tuple(_LOCKS)
_PNPM_LOCK = re.compile(r"^lockfileVersion:\s*['\"]?(\d+)\.(\d+)", re.MULTILINE)
_BERRY_LOCK = re.compile(r"^__metadata:\s*\n\s+version:\s*['\"]?(\d{1,3})", re.MULTILINE)
_YARN_PATH = re.compile(r"yarn-(\d+(?:\.\d+){0,2})[A-Za-z0-9.-]*\.c?js")
_NUMBER = re.compile(r"[\^~>=v\s]{0,5}(\d{1,4}(?:\.(?:\d{1,4}|x|X|\*)){0,2})")
_HEAD = 4096
_PNPM_9_KEYS = frozenset({"packages", "catalog", "catalogs"})
"""Keys of pnpm-workspace.yaml that pnpm 9 supports."""
_NEWEST_PNPM = 11
_PNPM_OF_LOCK = {5: "7", 6: "8"}
_PNPM_7 = (5, 4)
_PNPM_FIXED = {7: (7, 33, 4), 8: (8, 3, 1)}
"""The first versions that can download packages with Node.js 20 and later."""
_NODE_OF_OLD_PNPM = 18
_YARN_OF_LOCK = {4: "2", 5: "3", 6: "3", 7: "4", 8: "4"}


@dataclass(frozen=True, slots=True)
class PackageManager:
    """`name`: npm, pnpm, yarn (the classic one), yarn-berry or bun."""

    name: str
    version: str | None = None
    """The pinned version; None if it is not pinned."""
    locked: bool = False
    is_exact: bool = False
    """Whether the version is exact, and not the lowest of a range."""
    warnings: tuple[str, ...] = ()

    @property
    def newest_node(self) -> int | None:
        """The newest Node.js with which it can download packages; None without a limit."""
        numbers = [int(number) for number in re.findall(r"\d{1,4}", self.version or "")[:3]]
        if self.name != "pnpm" or not numbers:
            return None
        fixed = _PNPM_FIXED.get(numbers[0])
        is_old = numbers[0] < min(_PNPM_FIXED) or (self.is_exact and fixed is not None and tuple(numbers) < fixed)
        return _NODE_OF_OLD_PNPM if is_old else None

    @property
    def title(self) -> str:
        """Its display name."""
        return {"yarn": "Yarn", "yarn-berry": "Yarn Berry", "bun": "Bun"}.get(self.name, self.name)

    @property
    def program(self) -> str:
        """The command."""
        return "yarn" if self.name == "yarn-berry" else self.name

    @property
    def prepare(self) -> str:
        """The command that installs it in a Node.js image; empty if the image has it."""
        if self.name == "npm":
            return f"npm install --global npm@{self._wanted('')}" if self.version and self.is_exact else ""
        if self.name == "pnpm":
            return f"npm install --global pnpm@{self._wanted('10')}"
        if self.name == "bun":
            return f"npm install --global bun@{self._wanted('1')}"
        if self.name == "yarn-berry":
            # Newer images contain neither Yarn nor Corepack.
            return f"npm install --global --force @yarnpkg/cli-dist@{self._wanted_yarn()}"
        return "command -v yarn || npm install --global yarn@1"

    def _wanted_yarn(self) -> str:
        """Return the npm version range for Yarn: the newest of the minor version, as not every version is on npm."""
        number = self._wanted("4")
        return "2" if number.startswith("2") else f"~{number}" if "." in number else number

    def _wanted(self, usual: str) -> str:
        number = re.match(r"\d+(?:\.\d+){0,2}", (self.version or "").lstrip("^~>=v "))
        return (
            number[0]
            if number and (self.is_exact or "." not in number[0])
            else number[0].split(".")[0]
            if number
            else usual
        )

    @property
    def install(self) -> str:
        """The install command, frozen if there is a lock file."""
        frozen = {
            "npm": ("npm ci", "npm install"),
            "pnpm": ("pnpm install --frozen-lockfile", "pnpm install"),
            "yarn": ("yarn install --frozen-lockfile", "yarn install"),
            "yarn-berry": ("yarn install --immutable", "yarn install"),
            "bun": ("bun install --frozen-lockfile", "bun install"),
        }
        return frozen[self.name][0 if self.locked else 1]

    @property
    def cache(self) -> str:
        """The directory of its downloads."""
        return {
            "npm": "/root/.npm",
            "pnpm": "/root/.local/share/pnpm/store",
            "yarn": "/usr/local/share/.cache/yarn",
            "yarn-berry": "/root/.yarn/berry/cache",
            "bun": "/root/.bun/install/cache",
        }[self.name]

    @property
    def prune(self) -> str:
        """The command that removes the development packages again; empty if it might not work."""
        return {
            "npm": "npm prune --omit=dev",
            "pnpm": "CI=true pnpm prune --prod --ignore-scripts",
            "yarn": "yarn install --production --ignore-scripts --prefer-offline",
        }.get(self.name, "")

    def run(self, script: str) -> str:
        """The command that runs a script of package.json."""
        return f"{self.program} run {script}"

    def execute(self, program: str) -> str:
        """The command that runs a program of an installed package."""
        return f"{ {'npm': 'npx', 'bun': 'bunx'}.get(self.name, f'{self.program} exec') } {program}"


def find_manager(project: NodeProject, folder: str = ".") -> PackageManager:
    """Find it by packageManager, engines, the lock file, or else npm. A workspace's root decides for its members."""
    package = project.root
    locks = [lock for lock in _LOCKS if project.is_file(".", lock)]
    by_lock = list(dict.fromkeys(_LOCKS[lock] for lock in locks))
    name, version = package.manager
    if not name and folder != ".":
        name, version = project.package(folder).manager
    if not name:
        name = _by_engines(package, by_lock) or _only_allowed(package)
    if not name and by_lock:
        name = by_lock[0]
    name = name or (
        "yarn" if project.is_file(".", ".yarnrc.yml") else "bun" if project.is_file(".", "bunfig.toml") else "npm"
    )
    warnings = _warnings(name, locks, by_lock)
    locked = name in by_lock
    if name == "yarn":
        return _yarn(project, version, locked=locked, warnings=warnings)
    exact = bool(version)
    if not version:
        version, exact = _version(project, name)
    return PackageManager(name, version or None, locked, exact, warnings)


def _by_engines(package: Package, by_lock: list[str]) -> str:
    """Return the manager that `engines` names, if it is only one, and no lock file contradicts it."""
    named = [name for name in ("pnpm", "yarn", "bun") if name in package.engines]
    fitting = [name for name in named if not by_lock or name in by_lock]
    return fitting[0] if len(fitting) == 1 else ""


def _only_allowed(package: Package) -> str:
    """Return the only manager that the project allows: `npx only-allow pnpm`."""
    match = re.search(r"\bonly-allow (pnpm|yarn|bun|npm)\b", package.scripts.get("preinstall", ""))
    return match[1] if match else ""


def _warnings(name: str, locks: list[str], by_lock: list[str]) -> tuple[str, ...]:
    warnings = []
    if len(by_lock) > 1:
        taken = next((lock for lock in locks if _LOCKS[lock] == name), locks[0])
        others = [lock for lock in locks if _LOCKS[lock] != _LOCKS[taken]]
        warnings.append(
            f"There are several lock files: {taken} is used, {', '.join(others)} is not. Delete what is old."
        )
    elif by_lock and name not in by_lock:
        warnings.append(
            f"package.json asks for {name}, but the lock file {locks[0]} is of {by_lock[0]}: it is not used."
        )
    return tuple(warnings)


def _version(project: NodeProject, name: str) -> tuple[str, bool]:
    """Return the version, and whether it is exact."""
    wanted = project.root.engines.get(name, "") or (project.root.volta.get(name, "") if name != "npm" else "")
    if name != "npm" and (match := _NUMBER.match(wanted[:60])):
        exact = bool(re.fullmatch(r"v?\d+\.\d+\.\d+", wanted.strip()))
        return (wanted.strip() if exact or wanted[:1].isdigit() or wanted.startswith(">") else match[1]), exact
    if name == "pnpm":
        return _pnpm_of_lock(project), False
    if name == "bun":
        text = (project.tree.find_text(".bun-version") or "").strip().removeprefix("v")
        return (text, True) if re.fullmatch(r"\d+\.\d+\.\d+", text) else ("", False)
    return "", False


def _pnpm_of_lock(project: NodeProject) -> str:
    match = _PNPM_LOCK.search(project.tree.find_head("pnpm-lock.yaml", limit=_HEAD) or "")
    if not match:
        return ""
    major, minor = int(match[1]), int(match[2])
    if major in _PNPM_OF_LOCK:
        return _PNPM_OF_LOCK[major] if (major, minor) >= _PNPM_7 else "6"
    if "allowBuilds" in project.workspace_settings:
        return str(_NEWEST_PNPM)
    settings = project.workspace_settings
    return "10" if settings and ("packages" not in settings or settings.keys() - _PNPM_9_KEYS) else "9"


def _yarn(project: NodeProject, version: str, *, locked: bool, warnings: tuple[str, ...]) -> PackageManager:
    head = project.tree.find_head("yarn.lock", limit=_HEAD) or ""
    berry_lock = _BERRY_LOCK.search(head)
    if not version:
        version = _number(project.root.engines.get("yarn", "")) or _number(project.root.volta.get("yarn", ""))
    release = _release(project)
    classic = "# yarn lockfile v1" in head
    if version and version.split(".")[0] != "1":
        return PackageManager("yarn-berry", version, locked and not classic, "." in version, warnings)
    if not version and (berry_lock or (project.is_file(".", ".yarnrc.yml") and not classic)):
        pinned = release or (_YARN_OF_LOCK.get(int(berry_lock[1]), "4") if berry_lock else "4")
        return PackageManager("yarn-berry", pinned, locked, "." in pinned, warnings)
    return PackageManager("yarn", version or "1", locked, False, warnings)


def _number(text: str) -> str:
    match = _NUMBER.match(text[:60])
    return match[1].rstrip(".xX*") if match else ""


def _release(project: NodeProject) -> str:
    """The version of the release that .yarnrc.yml points to."""
    text = project.tree.find_text(".yarnrc.yml") or ""
    match = _YARN_PATH.search(
        posixpath.basename(next((line for line in text.splitlines()[:200] if line.startswith("yarnPath:")), ""))
    )
    return match[1] if match else ""
