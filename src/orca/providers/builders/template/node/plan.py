"""How an application is built: the commands, as used by the Dockerfile, the title and the API. Pure."""

import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orca.providers.builders.template.node.application import Application
from orca.providers.builders.template.node.code import package_name
from orca.providers.builders.template.node.commands import ScriptCommand, expand
from orca.providers.builders.template.node.javascript import Module
from orca.providers.builders.template.node.legacy import OPENSSL, needs_old_openssl
from orca.providers.builders.template.node.managers import LOCK_FILES, PackageManager, find_manager
from orca.providers.builders.template.node.package import NodeProject, Package
from orca.providers.builders.template.node.programs import CONFIGURATIONS, package_of, survives_pruning
from orca.providers.builders.template.node.system import StageNeeds, find_system
from orca.providers.builders.template.node.versions import Version
from orca.sdk.trees import Tree

_FOLDER = re.compile(r"[A-Za-z0-9_@.+~ /-]{1,200}")
_OPENSSL_1 = 16
"""The last major version of Node.js with OpenSSL 1."""
_NEEDS_TREE = frozenset({"preinstall", "install", "postinstall", "prepare", "preprepare", "postprepare"})
_LOCAL = ("file:", "link:", "portal:", "patch:", "workspace:", "./", "../")
_CONFIGURATION = (".npmrc", ".yarnrc.yml", ".yarnrc", "bunfig.toml", ".pnpmfile.cjs", "pnpm-workspace.yaml")
_CODE = ("js", "ts", "mjs", "mts", "cjs", "cts")
_MANAGERS = {"pnpm": "pnpm", "pnpx": "pnpm", "yarn": "yarn", "bun": "bun", "bunx": "bun"}


@dataclass(frozen=True)
class Plan:
    """Everything about one build."""

    project: NodeProject
    package: Package
    application: Application
    manager: PackageManager
    version: Version
    start: str = ""
    """The start command; empty for static files."""
    processes: Mapping[str, str] = field(default_factory=dict)
    release: str | None = None
    chosen_build: str = ""

    @property
    def folder(self) -> str:
        """The folder of the application, in which it runs."""
        return self.application.folder

    @property
    def is_member(self) -> bool:
        """Whether it is one package of a workspace."""
        return self.folder != "."

    @property
    def needs_tree(self) -> bool:
        """Whether an install needs more than the manifests."""
        project, root = self.project, self.project.root
        specs = tuple(root.all_dependencies.values())
        return (
            bool(project.patterns) or self.is_member or bool(root.scripts.keys() & _NEEDS_TREE)
            or any(project.tree.is_directory(name) for name in (".yarn", "patches", "prisma"))
            or any(spec.startswith(_LOCAL) for spec in specs)
        )  # fmt: skip

    @property
    def manifests(self) -> list[str]:
        """The files that an install reads."""
        return [name for name in ("package.json", *LOCK_FILES, *_CONFIGURATION) if self.project.is_file(".", name)]

    @property
    def build(self) -> str:
        """The build command; empty if there is none."""
        application = self.application
        if self.chosen_build:
            return self.chosen_build
        if application.build == "-":
            return ""
        command = self._member_build() if self.is_member else self._own_build()
        settings = dict(application.environment)
        if self.version.major > _OPENSSL_1 and needs_old_openssl(self.project, self.project.package(self.folder)):
            settings["NODE_OPTIONS"] = OPENSSL
        environment = " ".join(f"{name}={value}" for name, value in settings.items())
        return f"{environment} {command}" if environment and command else command

    def _own_build(self) -> str:
        after = f" && {self.application.after_build}" if self.application.after_build else ""
        if self.package.build_script and not self.application.replaces_script:
            return self.manager.run(self.package.build_script) + after
        program, _, words = self.application.build.partition(" ")
        return f"{self.manager.execute(program)} {words}".rstrip() + after if program else ""

    def _member_build(self) -> str:
        """Return the root's own script if it has one, else the builds of the packages it uses, then its own."""
        root, member = self.project.root, self.project.package(self.folder)
        after = (
            f" && cd {shlex.quote(self.folder)} && {self.application.after_build}"
            if self.application.after_build
            else ""
        )
        if root.build_script and self.package is root:
            return self.manager.run(root.build_script) + after
        if "turbo" in root.all_dependencies and member.name and "build" in member.scripts:
            return self.manager.execute(f"turbo run build --filter={shlex.quote(member.name)}") + after
        if "nx" in root.all_dependencies and self.project.is_file(".", "nx.json"):
            return (
                self.manager.execute(f"nx build {shlex.quote(member.name or posixpath.basename(self.folder))}") + after
            )
        own = () if self.application.replaces_script else (member,)
        steps = [
            self._run_in(package, "build")
            for package in (*shared_packages(self.project, member), *own)
            if "build" in package.scripts
        ]
        if not (own and "build" in member.scripts) and self.application.build:
            steps.append(f"cd {shlex.quote(self.folder)} && {self.manager.execute(self.application.build)}")
        return " && ".join(steps) + after

    def _run_in(self, package: Package, script: str) -> str:
        """A script of a member, run from the root."""
        folder = shlex.quote(package.folder)
        if self.manager.name == "npm":
            return f"npm run {script} --workspace={folder}"
        if self.manager.name == "pnpm":
            return f"pnpm --dir {folder} run {script}"
        return f"{self.manager.program} --cwd {folder} run {script}"

    @property
    def other_installs(self) -> list[str]:
        """Return installs in folders that the root's scripts use, if neither a script nor a workspace does them."""
        scripts = self.project.root.scripts
        names = ("preinstall", "install", "postinstall", "prepare", self.project.root.build_script, "prestart")
        if self.is_member or any(re.search(r"\b(?:install|ci)\b", scripts.get(name, "")) for name in names):
            return []
        text = scripts.get(self.project.root.build_script, "")
        commands = (*expand(self.project, text), *expand(self.project, self.start))
        folders = dict.fromkeys(
            command.folder for command in commands if command.folder not in {".", *self.project.members}
        )
        return [
            f"cd {shlex.quote(folder)} && {self._install_in(folder)}"
            for folder in folders
            if self._has_packages(folder)
        ]

    def _has_packages(self, folder: str) -> bool:
        return bool(_FOLDER.fullmatch(folder)) and bool(self.project.package(folder).all_dependencies)

    def _install_in(self, folder: str) -> str:
        inner = NodeProject(Tree(self.project.tree.directory(folder)), self.project.package(folder))
        manager = find_manager(inner)
        return (manager if manager.name == self.manager.name else replace(self.manager, locked=False)).install

    @property
    def output(self) -> str:
        """The absolute path of the finished files."""
        return posixpath.normpath(posixpath.join("/app", self.folder, self.application.output))

    @property
    def runtime_commands(self) -> list[ScriptCommand]:
        """The commands that may run in the final image."""
        texts = [self.start, *self.processes.values(), self.release or ""]
        return [command for text in texts if text for command in expand(self.project, text, self.folder)]

    @property
    def runtime_managers(self) -> tuple[str, ...]:
        """Package managers and runtimes that the commands of the final image call by name."""
        texts = " ".join((self.start, *self.processes.values(), self.release or ""))
        words = set(re.findall(r"(?<![\w./-])(?:pnpm|pnpx|yarn|bunx?)(?![\w./-])", texts))
        if any(command.program == "bun" for command in self.runtime_commands):
            words.add("bun")
        return tuple(dict.fromkeys(_MANAGERS[word] for word in sorted(words)))

    @property
    def prune(self) -> str:
        """The command that removes the development packages; empty if the program might need them."""
        application, package = self.application, self.package
        if not package.dev_dependencies or self.project.members or self.is_member or application.uses_script:
            return ""
        known = not application.reading.entry or not application.reading.packages & package.dev_dependencies.keys()
        commands = self.runtime_commands
        known = known and not self._loaded_packages(commands) & package.dev_dependencies.keys()
        return self.manager.prune if known and commands and survives_pruning(commands, package) else ""

    def _loaded_packages(self, commands: list[ScriptCommand]) -> set[str]:
        """Return the packages that configuration files import which servers load at their start."""
        stems = [stem for command in commands for stem in CONFIGURATIONS.get(command.program, ())]
        texts = [self.project.find_text(self.folder, *(f"{stem}.{end}" for end in _CODE)) for stem in stems]
        sources = {source for text in texts if text for source in Module(text).imports.values()}
        return {package_name(source) for source in sources} - {""}

    @property
    def system(self) -> StageNeeds:
        """Packages of the Linux distribution."""
        packages = (
            [self.project.root, *self.project.members.values()]
            if self.is_member or self.project.members
            else [self.package]
        )
        return find_system(packages, self.application.reading.words)

    @property
    def missing(self) -> tuple[str, ...]:
        """Programs of the start command that no dependency provides."""
        names = {package_of(command.program) for command in self.runtime_commands} - {""}
        return tuple(sorted(name for name in names if name in self.application.tools))


def shared_packages(project: NodeProject, package: Package) -> list[Package]:
    """The packages of the workspace that a package uses, each after those that it uses itself."""
    by_name = {member.name: member for member in project.members.values() if member.name}
    ordered: list[Package] = []
    waiting = [(package, False)]
    seen = {package.name}
    while waiting:
        current, done = waiting.pop()
        if done:
            ordered.append(current)
            continue
        if current is not package:
            waiting.append((current, True))
        for name in current.all_dependencies:
            if name in by_name and name not in seen:
                seen.add(name)
                waiting.append((by_name[name], False))
    return ordered
