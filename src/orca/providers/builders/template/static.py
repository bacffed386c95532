"""Static sites: files and a Caddy, on an empty image. Builds and runs without a registry."""

import re
from collections.abc import Mapping
from itertools import islice

from orca.providers.builders.template.manifests import find_text
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import IGNORE, IGNORE_FILE, Recipe, copy, header
from orca.sdk.trees import Tree

CADDYFILE = "orca.Caddyfile"
PORT = 8080
_MANIFESTS = (
    "package.json", "go.mod", "Dockerfile", "requirements.txt", "pyproject.toml", "composer.json", "Cargo.toml",
    "Gemfile", "mix.exs", "pom.xml", "build.gradle", "deno.json", "compose.yaml", "docker-compose.yml",
    "docker-compose.yaml",
)  # fmt: skip
_SEVERAL = 2
_STATICFILE = re.compile(r"^root:\s*[\"']?\.?/?([\w./-]{1,100})", re.MULTILINE)
_USUAL = (".", "public", "dist", "build", "out", "_site", "site", "www", "static", "docs")
_CODE = (
    ".c", ".cc", ".cpp", ".h", ".hpp", ".sh", ".rs", ".go", ".rb", ".py", ".java", ".kt", ".swift", ".cabal", ".zig",
    ".nim", ".nimble", ".ex", ".exs", ".lua", ".pl", ".pm", ".ml", ".hs", ".sbt", ".tf", ".ino", ".csproj", ".sln",
)  # fmt: skip
_MADE_BY = frozenset({
    "CMakeLists.txt", "Makefile", "configure.ac", "meson.build", "BUILD.bazel", "WORKSPACE", "stack.yaml", "build.sbt",
    "Package.swift", "dune-project", "rebar.config", "deps.edn", "project.clj", "action.yml",
})  # fmt: skip
_BESIDE_PAGES = frozenset({
    "docs", "assets", "images", "img", "css", "js", "fonts", "media", "static", "public", "screenshots", "icons",
})  # fmt: skip
_CADDY_STAGE = """\
# Orca puts its own Caddy here, so that no registry is needed.
ARG ORCA_CADDY_IMAGE=caddy:2
FROM ${ORCA_CADDY_IMAGE} AS caddy
"""

_REQUEST_LOG = """\
	# A line for each request; who asked is private, and when, the engine notes by itself.
	log {
		output stdout
		format filter {
			wrap console {
				time_key ""
				level_key ""
				name_key ""
				message_key ""
			}
			fields {
				request delete
				resp_headers delete
				user_id delete
				bytes_read delete
				duration delete
			}
		}
	}
	vars asked "{method} {uri}"
	log_append asked {vars.asked}
"""
_SITE = f"""\
# How Caddy serves the site. Written by Orca; change it freely once it is in the repository.
{{
	admin off
	persist_config off
	auto_https off
	log {{
		level ERROR
	}}
}}

:{{$PORT:8080}} {{
	root * /srv
{_REQUEST_LOG}	encode zstd gzip
	header {{
		X-Content-Type-Options nosniff
		X-Frame-Options SAMEORIGIN
		Referrer-Policy strict-origin-when-cross-origin
		-Server
	}}
	@hidden {{
		path */.* /{CADDYFILE} /Dockerfile /orca.yaml
		not path /.well-known/*
	}}
	error @hidden 404
	TRY_FILES
	file_server {{
		precompressed zstd br gzip
	}}
	handle_errors {{
		@page file /{{err.status_code}}.html
		handle @page {{
			rewrite {{file_match.relative}}
			file_server
		}}
		respond "{{err.status_code}} {{err.status_text}}" {{err.status_code}}
	}}
}}
"""


def find_static(tree: Tree, options: TemplateOptions) -> Recipe | None:
    """A directory with an index.html."""
    roots = (options.root,) if options.root else (*_named_root(tree), *_USUAL)
    root = next((root for root in roots if tree.is_file(f"{root}/index.html")), None)
    if root is None or (root not in {".", options.root} and (_is_collection(tree, root) or _has_code(tree, root))):
        return None
    spa = options.spa or _falls_back(tree)
    title = f"Static site · {'index.html' if root == '.' else f'{root}/'}"
    dockerfile = f"{header(title)}\n{_CADDY_STAGE}\n{serve(copy([f'{root}/' if root != '.' else '.'], '/srv/'))}"
    evidence = "index.html" if root == "." else f"{root}/index.html"
    return Recipe(
        "static",
        title,
        dockerfile,
        PORT,
        (evidence,),
        files(spa=spa),
        service_kind="static",
        framework="static files",
        output=root,
    )


def _named_root(tree: Tree) -> tuple[str, ...]:
    """The folder that a Staticfile names."""
    match = _STATICFILE.search(find_text(tree, "Staticfile"))
    root = match[1].strip("/") if match else ""
    return (root,) if root and ".." not in root else ()


def _is_collection(tree: Tree, root: str) -> bool:
    """Whether the folder of pages is one of several projects that lie side by side."""
    folders = [name for name in tree.names()[:500] if name != root and not name.startswith(".")]
    projects = (name for name in folders if any(tree.is_file(f"{name}/{manifest}") for manifest in _MANIFESTS))
    return len(list(islice(projects, _SEVERAL))) == _SEVERAL


def _has_code(tree: Tree, root: str) -> bool:
    """Whether the repository contains code of which the pages are only the documentation or a part."""
    if root == "docs" and any(_is_code_folder(tree, name) for name in tree.names()[:500]):
        return True
    return any(name.endswith(_CODE) or name in _MADE_BY for name in tree.names()[:500] if tree.is_file(name))


def _is_code_folder(tree: Tree, name: str) -> bool:
    return not name.startswith((".", "_")) and name not in _BESIDE_PAGES and tree.is_directory(name)


def _falls_back(tree: Tree) -> bool:
    """Whether a Staticfile sets a fallback page for unknown paths."""
    lines = (tree.find_text("Staticfile") or "").splitlines()[:100]
    return any(re.fullmatch(r"(?:index_fallback|pushstate)\s*:\s*(?:true|enabled)\s*", line) for line in lines)


def caddy_stage() -> str:
    """Return the stage with the web server, which has to be the first one."""
    return _CADDY_STAGE


def serve(copy_site: str) -> str:
    """The last stage: `copy_site` is the COPY that brings the files to /srv/."""
    return f"""\
FROM scratch
COPY --from=caddy /usr/bin/caddy /usr/bin/caddy
COPY {CADDYFILE} /etc/caddy/Caddyfile
{copy_site}
USER 10001:10001
WORKDIR /data
ENV PORT={PORT} XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data
EXPOSE {PORT}
CMD ["/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
"""


def files(*, spa: bool, page: str = "index.html") -> Mapping[str, str]:
    """Return the files that the Dockerfile needs; `page` is served for unknown paths of a single-page application."""
    return {CADDYFILE: _caddyfile(f" /{page}" if spa else ""), IGNORE_FILE: IGNORE}


def _caddyfile(fallback: str) -> str:
    return _SITE.replace("TRY_FILES", f"try_files {{path}} {{path}}.html{fallback}")
