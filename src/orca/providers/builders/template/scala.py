"""Scala: sbt with the plugin that packs a program and its start script (sbt-native-packager; Play brings it)."""

import re

from orca.providers.builders.template.files import read_code
from orca.providers.builders.template.manifests import cut_lines, find_lines, find_tool_version
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import read_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    Recipe,
    Refusal,
    Result,
    cached,
    copy,
    header,
    install_packages,
    place_app,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 8080
# The launcher downloads the version of sbt that the project declares.
_INSTALL = """\
RUN curl -fsSL -o /usr/local/lib/sbt-launch.jar \\
    https://repo1.maven.org/maven2/org/scala-sbt/sbt-launch/1.10.7/sbt-launch-1.10.7.jar \\
 && printf '#!/bin/sh\\nexec java -Xmx1g -jar /usr/local/lib/sbt-launch.jar "$@"\\n' > /usr/local/bin/sbt \\
 && chmod +x /usr/local/bin/sbt"""
_COMMENT = re.compile(r"//[^\n]*")
_FRAMEWORKS = {
    "playframework": "Play", "com.typesafe.play": "Play", "PlayScala": "Play", "akka-http": "Akka HTTP",
    "pekko-http": "Pekko HTTP", "http4s": "http4s", "zio-http": "ZIO HTTP", "cask": "Cask", "finatra": "Finatra",
    "twitter-server": "Finagle", "scalatra": "Scalatra", "tapir": "Tapir", "unfiltered": "Unfiltered",
}  # fmt: skip
_NAME = re.compile(r"^[ \t]*(?:ThisBuild[ \t]*/[ \t]*)?name[ \t]*:=[ \t]*\"([\w .-]{1,100})\"", re.MULTILINE)
_STAGE = "target/universal/stage"
_JAVA_21 = (1, 9)
"""The first sbt that runs on it."""


def find_scala(tree: Tree, options: TemplateOptions) -> Result:
    """A build.sbt with something that packs a program."""
    if not tree.is_file("build.sbt"):
        return None
    text = _COMMENT.sub("", find_lines(tree, "build.sbt"))
    paths = [f"project/{name}" for name in tree.names("project") if name.endswith(".sbt")]
    plugins = "".join(map(cut_lines, read_code(tree, paths)))
    plugins = _COMMENT.sub("", plugins)
    framework = next((title for word, title in _FRAMEWORKS.items() if word in f"{plugins}\n{text}"), "")
    if framework != "Play" and "sbt-native-packager" not in plugins and not (options.build and options.start):
        return Refusal(
            "A Scala project (build.sbt) whose build packs no program: sbt-native-packager is not among its plugins.",
            "Add it to project/plugins.sbt and enablePlugins(JavaAppPackaging) to build.sbt, or add a Dockerfile.",
            ("build.sbt",),
        )
    return _render(tree, options, text, framework)


def _render(tree: Tree, options: TemplateOptions, text: str, framework: str) -> Recipe:
    procfile = read_procfile(tree)
    java, pinned = _java(tree)
    java = options.version or java
    title = f"Scala ({framework or 'program'}, sbt) on Java {java}"
    build = options.build or "sbt stage"
    start = options.start or (procfile.main[1] if procfile.main else _start(text, framework))
    is_web = bool((framework and not procfile.is_worker) or options.start)
    lines = [
        header(title), f"FROM {options.base or f'eclipse-temurin:{java}-jdk'} AS build", "WORKDIR /app",
        *install_packages(["curl", "ca-certificates", *options.packages]),
        _INSTALL,
        copy(["."], "./"),
        # A program of a workspace is staged in its own folder; the start is written for the one in the root.
        cached(
            f"{build} && if [ ! -d {_STAGE} ]; then mkdir -p target/universal "
            f"&& cp -R \"$(find . -path '*/{_STAGE}' -prune | head -n 1)\" {_STAGE}; fi",
            "/root/.cache/coursier", "/root/.sbt", "/root/.ivy2",
        ), "",
        f"FROM {options.base or f'eclipse-temurin:{java}-jre'}", *install_packages(options.packages), *place_app(),
        "ENV JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75 HOME=/tmp",
        *((f"ENV PORT={PORT}", f"EXPOSE {PORT}") if is_web else ()),
        shell_command(start, options.base, has_entrypoint=True), "",
    ]  # fmt: skip
    return Recipe(
        "scala", title, "\n".join(lines), PORT if is_web else None, ("build.sbt",), {IGNORE_FILE: IGNORE},
        "web" if is_web else "worker", framework=framework, version=pinned, package_manager="sbt", build=build,
        start=start, processes=procfile.processes, release=procfile.release,
        warnings=("Play needs its secret: set APPLICATION_SECRET, or what application.conf reads.",)
        if framework == "Play" else (),
    )  # fmt: skip


def _start(text: str, framework: str) -> str:
    """The script of the project's name; where that is not known, the one in the stage that is none for Windows."""
    given = " -Dhttp.port=$PORT -Dpidfile.path=/dev/null" if framework == "Play" else ""
    named = _NAME.findall(text)
    if len(named) == 1:
        return f"{_STAGE}/bin/{re.sub(r'[^a-z0-9]+', '-', named[0].lower())}{given}"
    return f'for program in {_STAGE}/bin/*; do case "$program" in *.bat) ;; *) exec "$program"{given} ;; esac; done'


def _java(tree: Tree) -> tuple[str, str | None]:
    properties = find_lines(tree, "system.properties")
    named = re.search(r"^java\.runtime\.version\s*=\s*(?:1\.)?(\d{1,2})", properties, re.MULTILINE)
    tool = find_tool_version(tree, "java")
    found = named or re.match(r"(?:[a-z-]{1,30}-)?(\d{1,2})", tool[0] if tool else "")
    if found:
        return found[1], found[1]
    wanted = re.search(r"sbt\.version\s*=\s*(\d{1,3})\.(\d{1,3})", find_lines(tree, "project/build.properties"))
    is_old = wanted is not None and (int(wanted[1]), int(wanted[2])) < _JAVA_21
    return "17" if is_old else "21", None
