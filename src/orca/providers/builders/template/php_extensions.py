"""Chooses the PHP extensions that a project needs beyond those in the image, and their build packages. Pure."""

from dataclasses import dataclass
from typing import Any

_INSIDE = {
    "core", "ctype", "curl", "date", "dom", "fileinfo", "filter", "ftp", "hash", "iconv", "json", "libxml", "mbstring",
    "mysqlnd", "openssl", "pcre", "pdo", "pdo_sqlite", "phar", "posix", "random", "readline", "reflection", "session",
    "simplexml", "sodium", "spl", "sqlite3", "standard", "tokenizer", "xml", "xmlreader", "xmlwriter", "zlib",
    "zend-opcache", "opcache", "pdo_mysql",
}  # fmt: skip
_BUILT: dict[str, tuple[str, ...]] = {
    "bcmath": (), "bz2": ("libbz2-dev",), "calendar": (), "exif": (), "gd": ("libpng-dev",), "gettext": (),
    "gmp": ("libgmp-dev",), "imap": ("libc-client-dev", "libkrb5-dev"), "intl": ("libicu-dev",),
    "ldap": ("libldap-dev",), "mysqli": (), "pcntl": (), "pdo_pgsql": ("libpq-dev",), "pgsql": ("libpq-dev",),
    "shmop": (), "soap": ("libxml2-dev",), "sockets": (), "sysvmsg": (), "sysvsem": (), "sysvshm": (),
    "xsl": ("libxslt1-dev",), "zip": ("libzip-dev",),
}  # fmt: skip
_PECL: dict[str, tuple[str, ...]] = {
    "amqp": ("librabbitmq-dev",), "apcu": (), "igbinary": (), "imagick": ("libmagickwand-dev",),
    "mongodb": ("libssl-dev",),
    "memcached": ("libmemcached-dev", "zlib1g-dev"), "msgpack": (), "redis": (), "swoole": (), "yaml": ("libyaml-dev",),
    "grpc": (), "protobuf": (), "rdkafka": ("librdkafka-dev",), "pcov": (), "ds": (), "uuid": ("uuid-dev",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions to install, and how."""

    built: tuple[str, ...]
    pecl: tuple[str, ...]
    packages: tuple[str, ...]
    unknown: tuple[str, ...]


def choose_extensions(composer: dict[str, Any], lock: dict[str, Any]) -> Extensions:
    """Return the extensions that composer.json requires, and those that its locked packages need."""
    own = _names(composer.get("require"))
    packages = lock.get("packages")
    theirs = [name for locked in packages or () if isinstance(locked, dict) for name in _names(locked.get("require"))]
    wanted = sorted({*own, *(name for name in theirs if name in _BUILT)} - _INSIDE)
    built = tuple(name for name in wanted if name in _BUILT)
    pecl = tuple(name for name in wanted if name in _PECL)
    needed = dict.fromkeys(
        package for name in (*built, *pecl) for package in (_BUILT.get(name) or _PECL.get(name) or ())
    )
    unknown = tuple(name for name in wanted if name not in _BUILT and name not in _PECL)
    return Extensions(built, pecl, tuple(needed), tuple(name for name in unknown if name.isidentifier()))


def _names(required: Any) -> list[str]:
    names = required if isinstance(required, dict) else {}
    return [name.removeprefix("ext-").lower() for name in names if name.startswith("ext-")]
