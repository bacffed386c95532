"""Renders the Dockerfile of a plan. Pure."""

import posixpath

from orca.providers.builders.template import static
from orca.providers.builders.template.node.managers import PackageManager
from orca.providers.builders.template.node.plan import Plan
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import (
    cached,
    copy,
    header,
    install_packages,
    place_app,
    shell_command,
)

PORT = 3000


def render(plan: Plan, options: TemplateOptions, title: str) -> str:
    """Return the whole file."""
    image = options.base or f"node:{plan.version.major}-slim"
    if plan.application.kind == "static":
        return _render_site(plan, options, title, image)
    base = _base(plan, options)
    first = [f"FROM {image} AS base", *base, "", "FROM base AS build"] if base else [f"FROM {image} AS build"]
    prune = (f"RUN {plan.prune}",) if plan.prune else ()
    lines = [header(title), *first, *_build(plan, options), *prune, ""]
    lines.extend(_runtime(plan, options, "base" if base else image))
    return "\n".join(lines)


def _render_site(plan: Plan, options: TemplateOptions, title: str, image: str) -> str:
    output = posixpath.normpath(posixpath.join("/app", plan.folder, options.root)) if options.root else plan.output
    packages = install_packages(options.packages)
    lines = [header(title), static.caddy_stage(), f"FROM {image} AS build", *packages, *_build(plan, options), ""]
    return "\n".join([*lines, static.serve(copy([f"{output}/"], "/srv/", flags="--from=build"))])


def _base(plan: Plan, options: TemplateOptions) -> list[str]:
    """Return the base stage, shared by the build and the final image."""
    lines = install_packages((*plan.system.runtime, *options.packages))
    if plan.system.environment:
        lines.append("ENV " + " ".join(f"{name}={value}" for name, value in plan.system.environment.items()))
    managers = [
        name
        for name in plan.runtime_managers
        if not (name == "yarn" and plan.manager.name not in {"yarn", "yarn-berry"})
    ]
    for name in managers:
        manager = plan.manager if plan.manager.program == name else PackageManager(name)
        lines.append(f"RUN {manager.prepare}")
    lines.extend(f"RUN npm install --global {tool}" for tool in plan.missing)
    return lines


def _build(plan: Plan, options: TemplateOptions) -> list[str]:
    """Return the build stage. Dependencies are installed before the code is copied, if possible, to be cached."""
    manager, system = plan.manager, plan.system
    own = [package for package in system.build if plan.application.kind == "static" or package not in system.runtime]
    prepare = (
        manager.prepare if manager.program not in plan.runtime_managers or plan.application.kind == "static" else ""
    )
    install = f"YARN_NODE_LINKER=node-modules {manager.install}" if manager.name == "yarn-berry" else manager.install
    whole = plan.needs_tree
    return [
        "WORKDIR /app",
        *install_packages(package for package in own if package not in options.packages),
        *((f"RUN {prepare}",) if prepare else ()),
        "COPY . ." if whole else copy(plan.manifests, "./"),
        cached(install, manager.cache),
        *(() if whole else ("COPY . .",)),
        *(cached(command, manager.cache) for command in plan.other_installs),
        *((f"RUN {plan.build}",) if plan.build else ()),
    ]


def _runtime(plan: Plan, options: TemplateOptions, image: str) -> list[str]:
    application = plan.application
    *place, user = place_app()
    where = [f"WORKDIR {posixpath.join('/app', plan.folder)}"] if plan.is_member else []
    folders = ([posixpath.join("/app", plan.folder)] if plan.is_member else []) + ["/app"]
    path = ":".join(f"{folder}/node_modules/.bin" for folder in folders)
    port = application.port or PORT
    listening = f" PORT={port} HOSTNAME=0.0.0.0 HOST=0.0.0.0" if application.kind == "web" else ""
    more = " NEXT_TELEMETRY_DISABLED=1" if "Next.js" in application.framework else ""
    if application.framework.startswith("SvelteKit"):
        more += " PROTOCOL_HEADER=x-forwarded-proto"
    if application.framework.startswith("Angular"):
        # Angular refuses unknown hostnames; here only the service's own hostnames reach it.
        more += " NG_ALLOWED_HOSTS=*"
    return [
        f"FROM {image}",
        *place,
        *(f"RUN {command}" for command in plan.system.commands),
        *where,
        user,
        f"ENV NODE_ENV=production{listening} HOME=/tmp{more} PATH={path}:$PATH",
        *((f"EXPOSE {port}",) if application.kind == "web" else ()),
        shell_command(plan.start, options.base, has_entrypoint=True),
        "",
    ]
