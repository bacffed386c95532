"""PHP: Laravel, Symfony and plain PHP on Apache."""

import json
import re

from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import IGNORE, IGNORE_FILE, Recipe, cached, copy, header
from orca.sdk.trees import Tree

PORT = 8080
_LATEST = "8.4"
_OPCACHE_INSIDE = {"8.5", "8.6"}
_SETUP = """\
RUN sed -ri 's/^Listen 80$/Listen ${PORT}/' /etc/apache2/ports.conf \\
 && sed -ri 's/:80>/:${PORT}>/' /etc/apache2/sites-available/*.conf \\
 && sed -ri 's#/var/www/html#${APACHE_DOCUMENT_ROOT}#' /etc/apache2/sites-available/*.conf \\
 && a2enmod rewrite \\
 && docker-php-ext-install EXTENSIONS \\
 && mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini\""""
_ROOTS = ("public", "web", "htdocs", ".")


def find_php(tree: Tree, options: TemplateOptions) -> Recipe | None:
    """A composer.json or an index.php, in the root or in public/."""
    roots = (options.root,) if options.root else _ROOTS
    root = next((root for root in roots if tree.is_file(f"{root}/index.php")), None)
    composer = tree.find_text("composer.json")
    if root is None:
        return None
    version = options.version or _version(composer or "")
    framework = "Laravel" if tree.is_file("artisan") else "Symfony" if tree.is_file("bin/console") else "Apache"
    title = f"PHP {version} ({framework}{', Composer' if composer else ''}) · {root if root != '.' else 'index.php'}"
    folder = "/var/www/html" if root == "." else f"/var/www/html/{root}"
    files = ("composer.json", "composer.lock", f"{root}/index.php".removeprefix("./"))
    evidence = tuple(name for name in files if tree.is_file(name))
    lines = [
        header(title),
        f"FROM {options.base or f'php:{version}-apache'}",
        # Apache as an ordinary user on a port that needs no rights, with the site's own directory.
        f"ENV PORT={PORT} APACHE_DOCUMENT_ROOT={json.dumps(folder)}",
        _SETUP.replace("EXTENSIONS", "pdo_mysql" if version in _OPCACHE_INSIDE else "pdo_mysql opcache"),
        "WORKDIR /var/www/html",
        *(_composer(tree) if composer else ()),
        "COPY --chown=www-data:www-data . .",
        *(("RUN composer dump-autoload --optimize --no-dev --no-scripts",) if composer else ()),
        *((f"RUN {options.build}",) if options.build else ()),
        "USER www-data",
        f"EXPOSE {PORT}",
        "",
    ]
    return Recipe("php", title, "\n".join(lines), PORT, evidence, {IGNORE_FILE: IGNORE})


def _composer(tree: Tree) -> list[str]:
    manifests = [name for name in ("composer.json", "composer.lock") if tree.is_file(name)]
    return [
        "RUN apt-get update && apt-get install --yes --no-install-recommends git unzip && rm -rf /var/lib/apt/lists/*",
        "COPY --from=composer:2 /usr/bin/composer /usr/bin/composer",
        copy(manifests, "./"),
        cached("composer install --no-dev --no-scripts --no-autoloader --no-interaction", "/root/.composer/cache"),
    ]


def _version(composer: str) -> str:
    try:
        data = json.loads(composer or "{}")
    except (ValueError, RecursionError):
        return _LATEST
    required = data.get("require") if isinstance(data, dict) else None
    wanted = str(required.get("php") or "") if isinstance(required, dict) else ""
    found = re.findall(r"\d\.\d", wanted)
    return max(found) if found and not wanted.strip().startswith(">") else _LATEST
