"""Java and Kotlin: Maven and Gradle, with their wrappers; executable archives, start scripts and Tomcat."""

from orca.providers.builders.template.java_project import JavaProject, read_java
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import Procfile, read_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    USER,
    Recipe,
    Result,
    cached,
    copy,
    header,
    install_packages,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 8080
_JAR = "app.jar"
# The archive to run is the largest one, because it contains its dependencies.
_FIND_JAR = (
    "find . -path '*/{folder}/*.jar' ! -name '*-plain.jar' ! -name '*-sources.jar' ! -name '*-javadoc.jar' "
    "! -name '*-tests.jar' ! -name 'original-*' ! -path './gradle/*' ! -path './.mvn/*' "
    "-printf '%s %p\\n' | sort -rn | head -n 1 | cut -d' ' -f2-"
)
_PORTS = {
    "Spring Boot": "SERVER_PORT", "Quarkus": "QUARKUS_HTTP_PORT", "Micronaut": "MICRONAUT_SERVER_PORT",
    "Helidon": "SERVER_PORT",
}  # fmt: skip
_CACHES = {"maven": "/root/.m2", "gradle": "/root/.gradle"}
_TITLES = {"maven": "Maven", "gradle": "Gradle"}


def find_java(tree: Tree, options: TemplateOptions) -> Result:
    """A pom.xml, or Gradle's build files."""
    project = read_java(tree)
    return _render(tree, options, project, read_procfile(tree)) if project else None


def _render(tree: Tree, options: TemplateOptions, project: JavaProject, procfile: Procfile) -> Recipe:
    framework = project.framework or ("WAR" if project.is_war else "")
    version = options.version or str(project.version)
    title = f"Java {version} ({framework or 'program'}, {_TITLES[project.tool]})"
    build, start = options.build or _build(project), _start(options, project, procfile)
    is_web = (project.listens and not procfile.is_worker) or bool(options.start)
    lines = [
        header(title), f"FROM {options.base or _build_image(project, version)} AS build", "WORKDIR /src",
        *install_packages(options.packages), "COPY . .",
        cached(f"{build} && {_collect(project, procfile)}", _CACHES[project.tool]), "",
        *_runtime(options, project, version, start, is_web=is_web),
    ]  # fmt: skip
    evidence = (project.manifest, *(name for name in ("system.properties",) if tree.is_file(name)))
    return Recipe(
        "java", title, "\n".join(lines), PORT if is_web else None, evidence, {IGNORE_FILE: IGNORE},
        "web" if is_web else "worker", framework=framework, version=project.pinned,
        package_manager=project.tool, build=build, start=start, processes=procfile.processes, release=procfile.release,
    )  # fmt: skip


def _build(project: JavaProject) -> str:
    """The wrapper may lack its executable bit."""
    if project.tool == "maven":
        return f"{'sh ./mvnw' if project.has_wrapper else 'mvn'} -B -DskipTests package"
    tool = "sh ./gradlew" if project.has_wrapper else "gradle"
    return f"{tool} --no-daemon {'installDist' if _has_script(project) else 'build -x test'}"


def _build_image(project: JavaProject, version: str) -> str:
    if project.has_wrapper:
        return f"eclipse-temurin:{version}-jdk"
    return f"maven:3-eclipse-temurin-{version}" if project.tool == "maven" else f"gradle:jdk{version}"


def _has_script(project: JavaProject) -> bool:
    return project.is_application and project.framework not in {"Spring Boot", "Quarkus", "Micronaut"}


def _collect(project: JavaProject, procfile: Procfile) -> str:
    """Return the command that copies what runs to /out."""
    folder = "target" if project.tool == "maven" else "build/libs"
    if procfile.main:
        return "mkdir /out && cp -R . /out/"  # its command refers to the paths of the build output
    if project.is_war:
        return f"mkdir /out && cp \"$(find . -path '*/{folder}/*.war' | head -n 1)\" /out/ROOT.war"
    if project.framework == "Quarkus":
        return f"mkdir /out && cp -R {folder.partition('/')[0]}/quarkus-app/. /out/"
    if _has_script(project):
        return "mkdir /out && cp -R \"$(find . -path '*/build/install/*' -prune | head -n 1)\"/. /out/"
    return f'mkdir /out && cp "$({_FIND_JAR.format(folder=folder)})" /out/{_JAR}'


def _start(options: TemplateOptions, project: JavaProject, procfile: Procfile) -> str:
    if options.start:
        return options.start
    port = _PORTS.get(project.framework)
    given = f"{port}=$PORT exec " if port else ""
    if procfile.main:
        return f"{given.replace('exec ', '')}{procfile.main[1]}" if port and procfile.web else procfile.main[1]
    if project.is_war:
        return "catalina.sh run"
    if project.framework == "Quarkus":
        return f"QUARKUS_HTTP_HOST=0.0.0.0 {given}java -jar /app/quarkus-run.jar"
    if _has_script(project):
        run = '"$program"' if options.base else 'bash "$program"'  # its own /bin/sh drops names with dots
        return f'for program in /app/bin/*; do case "$program" in *.bat) ;; *) exec {run} ;; esac; done'
    return f"{given}java -jar /app/{_JAR}"


def _runtime(options: TemplateOptions, project: JavaProject, version: str, start: str, *, is_web: bool) -> list[str]:
    if project.is_war and not options.start:
        tomcat = "10" if project.is_jakarta else "9"
        return [
            f"FROM {options.base or f'tomcat:{tomcat}-jre{version}'}",
            f"RUN chown -R {USER} /usr/local/tomcat",
            f"COPY --from=build --chown={USER} /out/ROOT.war /usr/local/tomcat/webapps/ROOT.war",
            f"USER {USER}", f"ENV PORT={PORT}", f"EXPOSE {PORT}",
            shell_command("catalina.sh run" if options.base else "bash /usr/local/tomcat/bin/catalina.sh run"), "",
        ]  # fmt: skip
    return [
        f"FROM {options.base or f'eclipse-temurin:{version}-jre'}",
        *install_packages(options.packages),
        copy(["/out/"], "/app/", flags=f"--from=build --chown={USER}"),
        "WORKDIR /app",
        f"USER {USER}",
        # A share of the container's memory limit, not of the machine's memory.
        "ENV JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75 HOME=/tmp",
        *((f"ENV PORT={PORT}", f"EXPOSE {PORT}") if is_web else ()),
        shell_command(start, options.base, has_entrypoint=True),
        "",
    ]
