"""Reads a Maven or Gradle project: its framework, its Java version, and the path of the built archive."""

import re
from dataclasses import dataclass

from orca.providers.builders.template.files import read_code, walk
from orca.providers.builders.template.manifests import cut_lines, find_lines, find_tool_version
from orca.sdk.trees import Tree

_LTS = (8, 11, 17, 21, 25)
_USUAL = 21
# The newest Java that a version of Gradle supports; above the last one no limit is known.
_GRADLE = (
    ("5.0", 11),
    ("6.3", 13),
    ("7.3", 16),
    ("7.6", 18),
    ("8.3", 19),
    ("8.5", 20),
    ("8.8", 21),
    ("8.10", 22),
    ("8.14", 23),
    ("9.1", 24),
)
_WAR = re.compile(r"<packaging>\s*war\s*<|\bid[( ]{1,3}[\"']war[\"']|^[ \t]*`?war`?[ \t]*$", re.MULTILINE)
_APPLICATION = re.compile(r"\bid[( ]{1,3}[\"']application[\"']|^[ \t]*application[ \t]*$", re.MULTILINE)
_XML_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CODE_COMMENT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|(//[^\n]*|/\*.*?(?:\*/|\Z))", re.DOTALL)
_FRAMEWORKS = (
    ("org.springframework.boot", "Spring Boot"), ("io.quarkus", "Quarkus"), ("io.micronaut", "Micronaut"),
    ("io.ktor", "Ktor"), ("io.dropwizard", "Dropwizard"), ("io.javalin", "Javalin"), ("com.sparkjava", "Spark"),
    ("io.vertx", "Vert.x"), ("io.helidon", "Helidon"), ("org.eclipse.jetty", "Jetty"), ("io.undertow", "Undertow"),
    ("org.apache.tomcat.embed", "Tomcat"), ("org.glassfish.grizzly", "Grizzly"), ("io.netty", "Netty"),
    ("ratpack", "Ratpack"), ("com.vaadin", "Vaadin"), ("com.typesafe.play", "Play"),
)  # fmt: skip
_LISTENING = re.compile(r"\b(?:HttpServer|ServerSocket|ServerSocketChannel|embeddedServer)\b")
_BUILDS = ("build.gradle", "build.gradle.kts")


@dataclass(frozen=True, slots=True)
class JavaProject:
    """A project of one of the two tools."""

    tool: str
    manifest: str
    has_wrapper: bool
    framework: str
    is_war: bool
    is_application: bool
    """Whether Gradle's `application` plugin makes a start script."""
    is_jakarta: bool
    listens: bool
    version: int
    pinned: str | None


def read_java(tree: Tree) -> JavaProject | None:
    """Read the project in the root; None if there is none of either tool."""
    if tree.is_file("pom.xml"):
        text = _XML_COMMENT.sub("", find_lines(tree, "pom.xml"))
        modules = re.findall(r"<module>\s*([\w./-]+)\s*</module>", text)[:30]
        text += "".join(
            _XML_COMMENT.sub("", find_lines(tree, f"{module}/pom.xml")) for module in modules if ".." not in module
        )
        lowest = _lowest(
            re.findall(
                r"<(?:java\.version|maven\.compiler\.(?:release|source|target)|release|source)>\s*(?:1\.)?(\d{1,2})",
                text,
            )
        )
        return _project(tree, "maven", "pom.xml", text, lowest)
    settings = next((name for name in ("settings.gradle", "settings.gradle.kts") if tree.is_file(name)), "")
    found = [name for name in _BUILDS if tree.is_file(name)]
    included = re.findall(r"[\"']:?([\w:-]{1,100})[\"']", _strip(find_lines(tree, settings))) if settings else []
    nested = [f"{module.replace(':', '/')}/{name}" for module in included[:30] for name in _BUILDS]
    if settings and not found and not any(map(tree.is_file, nested)):
        nested = [f"{folder}/{name}" for folder in tree.names()[:50] for name in _BUILDS]
    files = [*found, *(path for path in nested if tree.is_file(path))]
    if not files:
        return None
    text = "\n".join(_strip(find_lines(tree, path)) for path in files) + find_lines(tree, "gradle/libs.versions.toml")
    source = re.findall(
        r"(?:sourceCompatibility|targetCompatibility|jvmToolchain|jvmTarget)\W{1,30}(?:JavaVersion\.VERSION_|1\.)?(\d{1,2})",
        text,
    )
    return _project(tree, "gradle", files[0], text, _lowest(source))


def _strip(text: str) -> str:
    return _CODE_COMMENT.sub(lambda match: "" if match[1] else match[0], text)


def _project(tree: Tree, tool: str, manifest: str, text: str, lowest: int) -> JavaProject:
    framework = next((title for group, title in _FRAMEWORKS if group in text), "")
    pinned = _pinned(tree, text)
    wrapper = "mvnw" if tool == "maven" else "gradlew"
    is_war = bool(_WAR.search(text))
    # Spring Boot without a web starter is a program; its plugin alone cannot tell.
    is_web = (
        framework != "Spring Boot"
        or tool == "gradle"
        or bool(re.search(r"spring-boot-starter-(?:web|webflux|jersey|data-rest|graphql|thymeleaf)", text))
    )
    return JavaProject(
        tool, manifest, tree.is_file(wrapper), framework, is_war=is_war and framework != "Spring Boot",
        is_application=bool(_APPLICATION.search(text)),
        is_jakarta="jakarta." in text or "javax." not in text,
        listens=(bool(framework) and is_web) or is_war or _code_listens(tree),
        version=int(pinned) if pinned else _choose_version(lowest, _gradle_limit(tree)), pinned=pinned,
    )  # fmt: skip


def _code_listens(tree: Tree) -> bool:
    paths = [path for suffix in (".java", ".kt") for path in walk(tree, "src/main", suffix, limit=60)]
    return any(_LISTENING.search(_strip(cut_lines(text))) for text in read_code(tree, paths))


def _lowest(found: list[str]) -> int:
    return max((int(version) for version in found if int(version) <= 30), default=0)  # noqa: PLR2004 - versions of Java


def _pinned(tree: Tree, text: str) -> str | None:
    """Return the version in a version file or Gradle's toolchain."""
    properties = re.search(r"^java\.runtime\.version\s*=\s*(\S+)", find_lines(tree, "system.properties"), re.MULTILINE)
    sdk = re.search(r"^java=(\S+)", find_lines(tree, ".sdkmanrc"), re.MULTILINE)
    tool = find_tool_version(tree, "java")
    toolchain = re.search(r"languageVersion\b.{1,40}?of\((\d{1,2})\)", text)
    named = (
        properties[1] if properties else "", find_lines(tree, ".java-version"), sdk[1] if sdk else "",
        tool[0] if tool else "", toolchain[1] if toolchain else "",
    )  # fmt: skip
    for module in named:
        if match := re.match(r"\s*(?:[a-z-]{1,30}-)?(?:1\.)?(\d{1,2})\b", module):
            return match[1]
    return None


def _gradle_limit(tree: Tree) -> int:
    properties = find_lines(tree, "gradle/wrapper/gradle-wrapper.properties")
    match = re.search(r"gradle-(\d{1,3})\.(\d{1,3})", properties)
    if not match:
        return _LTS[-1]
    version = (int(match[1]), int(match[2]))
    return next((java for below, java in _GRADLE if version < tuple(map(int, below.split(".")))), _LTS[-1])


def _choose_version(lowest: int, limit: int) -> int:
    """Choose a long-term release that the code targets and that its Gradle supports."""
    allowed = [version for version in _LTS if lowest <= version <= limit]
    wanted = [version for version in allowed if version >= (lowest or min(_USUAL, limit))]
    return next(iter(wanted), allowed[-1] if allowed else max(lowest, _LTS[0]))
