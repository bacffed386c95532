"""PHP on Apache: Laravel, Symfony, WordPress and plain PHP, with extensions and assets built."""

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from orca.providers.builders.template.manifests import dig, find_json, find_text, find_tool_version, minor_version
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.php_extensions import choose_extensions
from orca.providers.builders.template.procfile import Procfile, read_procfile
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
    shell_command,
    suggest_release,
)
from orca.sdk.trees import Tree

PORT = 8080
_LATEST = "8.4"
_APACHE = "apache2-foreground"
_OPCACHE_INSIDE = {"8.5", "8.6"}
_SETUP = """\
RUN sed -ri 's/^Listen 80$/Listen ${PORT}/' /etc/apache2/ports.conf \\
 && sed -ri 's/:80>/:${PORT}>/' /etc/apache2/sites-available/*.conf \\
 && sed -ri 's#/var/www/html#${APACHE_DOCUMENT_ROOT}#' /etc/apache2/sites-available/*.conf \\
 && a2enmod rewrite \\
 && docker-php-ext-install EXTENSIONS \\
 && mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" \\
 && chown www-data:www-data /var/www/html"""
_ROOTS = ("public", "web", "htdocs", "public_html", "html", "www", ".")
_FRAMEWORKS = {
    "laravel/framework": "Laravel", "symfony/framework-bundle": "Symfony", "roots/wordpress": "WordPress",
    "johnpbloch/wordpress": "WordPress", "drupal/core": "Drupal", "drupal/core-recommended": "Drupal",
    "cakephp/cakephp": "CakePHP", "codeigniter4/framework": "CodeIgniter", "slim/slim": "Slim",
    "yiisoft/yii2": "Yii", "laravel/lumen-framework": "Lumen", "laminas/laminas-mvc": "Laminas",
}  # fmt: skip
_NO_CODE = {"vendor", "node_modules", "tests", "test", "docs", "doc"}
_FOLDERS = 60
_HEROKU = ("heroku-php-apache2", "heroku-php-nginx")


@dataclass(frozen=True, slots=True)
class _Site:
    """What is served, and how."""

    root: str
    framework: str
    version: str
    pinned: str | None
    start: str
    release: str | None


def find_php(tree: Tree, options: TemplateOptions) -> Result:
    """Detect an index.php in the root or in the usual public folder; composer.json has the details."""
    composer, procfile = find_json(tree, "composer.json"), read_procfile(tree)
    has_composer = tree.is_file("composer.json")
    served = _served_folder(procfile)
    roots = tuple(filter(None, (options.root, served))) or _ROOTS
    root = next((root for root in roots if tree.is_file(f"{root}/index.php")), None)
    if root is None and served:
        root = served if tree.is_directory(served) else None
    if root is None and not has_composer and _has_code_beside_pages(tree):
        root = "."
    if root is None:
        return _refuse(tree, composer) if has_composer else None
    version, pinned = _version(tree, composer)
    framework = _framework(tree, composer)
    start = options.start or (procfile.web if procfile.web and served is None else "") or _APACHE
    release = _release(tree, composer, framework)
    site = _Site(root.strip("/") or ".", framework, options.version or version, pinned, start, release)
    return _render(tree, composer, site, options, procfile)


def _has_code_beside_pages(tree: Tree) -> bool:
    """Whether an index.html links to PHP: served as static files, visitors could read the code."""
    if not tree.is_file("index.html") or tree.is_file("package.json"):
        return False
    names = tree.names()
    folders = [name for name in names if not name.startswith(".") and name not in _NO_CODE and tree.is_directory(name)]
    inner = (name for folder in folders[:_FOLDERS] for name in tree.names(folder))
    return any(name.endswith(".php") for name in (*names, *inner))


def _served_folder(procfile: Procfile) -> str | None:
    """The root that `heroku-php-apache2 web/` names; `.` where it names none; None for other commands."""
    words = procfile.web.split()[:20]
    if not words or not words[0].endswith(_HEROKU):
        return None
    # Options come first, and each of them takes a value.
    named = [word for before, word in pairwise(words) if not word.startswith("-") and not before.startswith("-")]
    root = (named[-1] if named else ".").strip("/")
    return root if re.fullmatch(r"[\w./-]+", root) and ".." not in root else "."


def _refuse(tree: Tree, composer: dict[str, Any]) -> Refusal | None:
    if composer.get("type", "library") != "library" and not tree.is_file("package.json"):
        reason = "A PHP project without an index.php in the root, public/, web/ or htdocs/."
        return Refusal(reason, "Name the folder that is served with build.options.root.", ("composer.json",))
    if tree.is_file("package.json"):
        return None
    reason = "A PHP library or tool: a composer.json, but no index.php to serve."
    return Refusal(reason, "Name the folder that is served with build.options.root.", ("composer.json",))


def _framework(tree: Tree, composer: dict[str, Any]) -> str:
    required = dig(composer, "require") or {}
    named = next((name for package, name in _FRAMEWORKS.items() if package in required), "")
    guessed = "Laravel" if tree.is_file("artisan") else "Symfony" if tree.is_file("bin/console") else ""
    return named or guessed or ("WordPress" if tree.is_directory("wp-content") else "")


def _release(tree: Tree, composer: dict[str, Any], framework: str) -> str | None:
    if framework == "Laravel" and tree.is_directory("database/migrations"):
        return "php artisan migrate --force"
    if "doctrine/doctrine-migrations-bundle" in (dig(composer, "require") or {}):
        return "php bin/console doctrine:migrations:migrate --no-interaction --allow-no-migration"
    return None


def _render(tree: Tree, composer: dict[str, Any], site: _Site, options: TemplateOptions, procfile: Procfile) -> Recipe:
    has_composer = tree.is_file("composer.json")
    page = next(name for name in ("index.php", "index.html", "") if not name or tree.is_file(f"{site.root}/{name}"))
    shown = site.root if site.root != "." else page
    title = f"PHP {site.version} ({site.framework or 'Apache'}{', Composer' if has_composer else ''}) · {shown}"
    assets = _asset_command(tree)
    files = ("composer.json", "composer.lock", f"{site.root}/{page}".removeprefix("./"))
    install = "composer install --no-dev --optimize-autoloader"
    wanted = choose_extensions(composer, find_json(tree, "composer.lock"))
    warnings = [f"Nothing is known of the PHP extension {name}: it is not installed." for name in wanted.unknown]
    return Recipe(
        "php", title, _dockerfile(tree, composer, site, options, title), PORT,
        tuple(name for name in files if tree.is_file(name)) or ("Procfile",), {IGNORE_FILE: IGNORE},
        framework=site.framework, version=site.pinned, package_manager="composer" if has_composer else None,
        package_manager_version="2" if has_composer else None, install=install if has_composer else None,
        build=options.build or (assets[1] if assets else None), start=site.start, processes=procfile.processes,
        release=procfile.release, warnings=(*warnings, *suggest_release(site.release, procfile.release)),
    )  # fmt: skip


def _dockerfile(tree: Tree, composer: dict[str, Any], site: _Site, options: TemplateOptions, title: str) -> str:
    has_composer, assets = tree.is_file("composer.json"), _asset_command(tree)
    folder = "/var/www/html" if site.root == "." else f"/var/www/html/{site.root}"
    wanted = choose_extensions(composer, find_json(tree, "composer.lock"))
    bundled = ["pdo_mysql"] if site.version in _OPCACHE_INSIDE else ["pdo_mysql", "opcache"]
    pecl = " ".join(wanted.pecl)
    # Without a manifest the extensions are unknown: WordPress and most projects of its age use this one for MySQL.
    old = ["mysqli"] if site.framework == "WordPress" or not has_composer else []
    built = " ".join(dict.fromkeys([*bundled, *old, *wanted.built]))
    is_own = bool(options.base) and site.start == _APACHE
    lines = [
        header(title),
        *(_asset_stage(tree, *assets) if assets else ()),
        f"FROM {options.base or f'php:{site.version}-apache'}",
        # Apache as an ordinary user, on a port that needs no privileges, with the site's own directory.
        f"ENV PORT={PORT} APACHE_DOCUMENT_ROOT={json.dumps(folder)}",
        *install_packages([*wanted.packages, *options.packages]),
        _SETUP.replace("EXTENSIONS", built),
        *((f"RUN pecl install {pecl} \\\n && docker-php-ext-enable {pecl}",) if pecl else ()),
        "WORKDIR /var/www/html",
        *(_composer(tree) if has_composer else ()),
        "COPY --chown=www-data:www-data . .",
        *(("COPY --from=assets --chown=www-data:www-data /app/public/ ./public/",) if assets else ()),
        *(("RUN composer dump-autoload --optimize --no-dev --no-scripts",) if has_composer else ()),
        *((f"RUN {options.build}",) if options.build else ()),
        "USER www-data",
        f"EXPOSE {PORT}",
        # An image of the user's own says how its Apache is started.
        *(() if is_own else (shell_command(site.start, options.base, has_entrypoint=True),)),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _composer(tree: Tree) -> list[str]:
    manifests = [name for name in ("composer.json", "composer.lock") if tree.is_file(name)]
    return [
        *install_packages(["git", "unzip"]),
        "COPY --from=composer:2 /usr/bin/composer /usr/bin/composer",
        copy(manifests, "./"),
        cached("composer install --no-dev --no-scripts --no-autoloader --no-interaction", "/root/.composer/cache"),
    ]


def _asset_command(tree: Tree) -> tuple[str, str] | None:
    """How styles and scripts are installed and built, where a package.json says so and they go to public/."""
    scripts = dig(find_json(tree, "package.json"), "scripts") or {}
    name = next((name for name in ("build", "prod", "production") if name in scripts), None)
    if name is None or not tree.is_directory("public"):
        return None
    if tree.is_file("pnpm-lock.yaml"):
        return "npm install --global pnpm && pnpm install --frozen-lockfile", f"pnpm run {name}"
    if tree.is_file("yarn.lock"):
        return "(command -v yarn || npm install --global yarn@1) && yarn install --frozen-lockfile", f"yarn run {name}"
    return "npm ci" if tree.is_file("package-lock.json") else "npm install", f"npm run {name}"


def _asset_stage(tree: Tree, install: str, build: str) -> list[str]:
    # Packages for the browser may come with PHP packages (Ziggy, Livewire), which lie in vendor/.
    vendor = [
        "FROM composer:2 AS vendor", "WORKDIR /app", "COPY . .",
        "RUN composer install --no-dev --no-scripts --no-interaction --ignore-platform-reqs", "",
    ] if tree.is_file("composer.json") else []  # fmt: skip
    return [
        *vendor,
        "FROM node:24-slim AS assets",
        "WORKDIR /app",
        "COPY --from=vendor /app/ ./" if vendor else "COPY . .",
        cached(install, "/root/.npm"),
        f"RUN {build}",
        "",
    ]


def _version(tree: Tree, composer: dict[str, Any]) -> tuple[str, str | None]:
    """The version to build with, and the one that is pinned: by the platform of Composer or a version file."""
    tool = find_tool_version(tree, "php")
    platform = str(dig(composer, "config", "platform", "php") or "")
    exact = (find_text(tree, ".php-version"), platform, tool[0] if tool else "")
    pinned = next((version for text in exact if (version := minor_version(text))), None)
    wanted = str(dig(composer, "require", "php") or "")
    found = re.findall(r"\d\.\d", wanted)
    ranged = max(found) if found and not wanted.strip().startswith(">") else _LATEST
    return pinned or ranged, pinned
