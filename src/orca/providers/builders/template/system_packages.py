"""Packages of Debian that packages of languages need: headers to compile with, libraries and programs to run with.

Names as in the current Debian; those that were renamed since are provided under the old name.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SystemPackages:
    """The packages of the build, and of the final image."""

    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()


_COMPILER = ("build-essential", "pkg-config")
_POSTGRES = (("libpq-dev", *_COMPILER), ("libpq5",))
_MYSQL = (("default-libmysqlclient-dev", *_COMPILER), ("libmariadb3",))
_CAIRO = (("libcairo2-dev", *_COMPILER), ("libcairo2",))
_FFMPEG = ((), ("ffmpeg",))
_PANGO = ((), ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"))
_OPENCV = ((), ("libgl1", "libglib2.0-0"))
_NODE = (("nodejs",), ("nodejs",))
_Needs = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]

_PYTHON: _Needs = {
    "psycopg2": _POSTGRES,
    "psycopg[c]": _POSTGRES,
    "psycopg": ((), ("libpq5",)),
    "mysqlclient": _MYSQL,
    "pycairo": _CAIRO,
    "cairosvg": ((), ("libcairo2",)),
    "cairocffi": ((), ("libcairo2",)),
    "weasyprint": _PANGO,
    "pdf2image": ((), ("poppler-utils",)),
    "pydub": _FFMPEG,
    "ffmpeg-python": _FFMPEG,
    "moviepy": _FFMPEG,
    "openai-whisper": _FFMPEG,
    "yt-dlp": _FFMPEG,
    "pytesseract": ((), ("tesseract-ocr",)),
    "opencv-python": _OPENCV,
    "opencv-contrib-python": _OPENCV,
    "python-magic": ((), ("libmagic1",)),
    "pyodbc": (("unixodbc-dev", *_COMPILER), ("unixodbc",)),
    "graphviz": ((), ("graphviz",)),
    "pygraphviz": (("libgraphviz-dev", *_COMPILER), ("graphviz",)),
    "pydot": ((), ("graphviz",)),
    "python-ldap": (("libldap-dev", "libsasl2-dev", *_COMPILER), ("libldap-common", "libsasl2-2")),
    "xmlsec": (("libxmlsec1-dev", *_COMPILER), ("libxmlsec1-openssl",)),
    "pyaudio": (("portaudio19-dev", *_COMPILER), ("libportaudio2",)),
    "gdal": (("libgdal-dev", *_COMPILER), ("gdal-bin",)),
    "pyzbar": ((), ("libzbar0",)),
    "wand": ((), ("imagemagick",)),
    "soundfile": ((), ("libsndfile1",)),
    "uwsgi": (_COMPILER, ()),
    "dlib": (("cmake", *_COMPILER), ()),
    "pygobject": (("libgirepository1.0-dev", "libcairo2-dev", *_COMPILER), ("libgirepository-1.0-1",)),
}  # fmt: skip
_RUBY: _Needs = {
    "pg": _POSTGRES,
    "mysql2": _MYSQL,
    "charlock_holmes": (("libicu-dev", "zlib1g-dev"), ("libicu-dev",)),
    "rmagick": (("libmagickwand-dev",), ("libmagickwand-dev",)),
    "mini_magick": ((), ("imagemagick",)),
    "ruby-vips": ((), ("libvips42",)),
    "image_processing": ((), ("libvips42",)),
    "execjs": _NODE,
    "uglifier": _NODE,
    "coffee-script": _NODE,
    "coffee-rails": _NODE,
    "autoprefixer-rails": _NODE,
    "terser": _NODE,
    "mini_racer": (("python3",), ()),
    "curb": (("libcurl4-openssl-dev",), ("libcurl4",)),
    "sqlite3": (("libsqlite3-dev",), ("libsqlite3-0",)),
    "ruby-filemagic": (("libmagic-dev",), ("libmagic1",)),
    "rugged": (("cmake", "libssl-dev"), ()),
    "ffi": (("libffi-dev",), ()),
    "tiny_tds": (("freetds-dev",), ("freetds-bin",)),
    "grover": ((), ("chromium",)),
}  # fmt: skip
_RUST: _Needs = {
    "openssl-sys": (("libssl-dev", "pkg-config"), ("libssl3",)),
    "native-tls": (("libssl-dev", "pkg-config"), ("libssl3",)),
    "pq-sys": (("libpq-dev", "pkg-config"), ("libpq5",)),
    "mysqlclient-sys": (("default-libmysqlclient-dev", "pkg-config"), ("libmariadb3",)),
    "libsqlite3-sys": (("libsqlite3-dev", "pkg-config"), ("libsqlite3-0",)),
    "rdkafka-sys": (("cmake", "build-essential", "libssl-dev", "pkg-config"), ("libssl3",)),
    "protobuf-src": (("cmake", "build-essential"), ()),
    "prost-build": (("protobuf-compiler",), ()),
    "zmq-sys": (("libzmq3-dev", "pkg-config"), ("libzmq5",)),
}  # fmt: skip


def for_python(names: Collection[str]) -> SystemPackages:
    """For the normalised names of packages, with `name[extra]`; binary wheels bring what they need."""
    bundled = {"psycopg"} if names & {"psycopg[binary]", "psycopg-binary"} else set()  # type: ignore[operator]
    return _collect(_PYTHON, [name for name in names if name not in bundled])


def for_ruby(names: Iterable[str]) -> SystemPackages:
    """For gems, those of the lock file too."""
    return _collect(_RUBY, names)


def for_rust(names: Iterable[str]) -> SystemPackages:
    """For crates of the lock file."""
    return _collect(_RUST, names)


def _collect(known: _Needs, names: Iterable[str]) -> SystemPackages:
    found = [known[name] for name in sorted(set(names)) if name in known]
    build = tuple(dict.fromkeys(package for needs, _ in found for package in needs))
    run = tuple(dict.fromkeys(package for _, needs in found for package in needs))
    return SystemPackages(build, run)
