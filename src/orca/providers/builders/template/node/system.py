"""What some packages need that is no package of npm: libraries and programs of Debian, browsers. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from orca.providers.builders.template.node.package import Package

_COMPILED = frozenset({
    "bcrypt", "better-sqlite3", "sqlite3", "canvas", "argon2", "node-sass", "usb", "serialport",
    "@serialport/bindings", "isolated-vm", "re2", "zeromq", "node-pty", "libxmljs", "libxmljs2", "pg-native",
    "leveldown", "level", "bufferutil", "utf-8-validate", "cpu-features", "ssh2", "kerberos", "farmhash", "sharp",
    "snappy", "ref-napi", "ffi-napi", "deasync", "microtime", "heapdump", "node-rdkafka", "gl", "mediasoup",
    "node-gyp", "node-addon-api", "nan", "odbc", "oracledb", "ibm_db", "couchbase", "sodium-native", "sodium",
    "wrtc", "robotjs",
})  # fmt: skip
"""Packages that are compiled at the install where no binary fits."""
_RUNTIME: Mapping[str, tuple[str, ...]] = {
    "prisma": ("openssl",), "@prisma/client": ("openssl",), "fluent-ffmpeg": ("ffmpeg",), "ffmpeg": ("ffmpeg",),
    "gm": ("graphicsmagick", "ghostscript"), "imagemagick": ("imagemagick",),
    "pdf2pic": ("graphicsmagick", "ghostscript"), "node-poppler": ("poppler-utils",),
    "pdf-poppler": ("poppler-utils",), "pg-native": ("libpq5",), "node-tesseract-ocr": ("tesseract-ocr",),
    "usb": ("libusb-1.0-0",), "simple-git": ("git",), "isomorphic-git": (),
    "canvas": ("fontconfig", "libcairo2", "libpango-1.0-0", "libpangocairo-1.0-0", "libgif7", "librsvg2-2"),
    "odbc": ("unixodbc",), "chart.js-image": ("fontconfig",), "node-canvas": ("libcairo2",),
    "youtube-dl-exec": ("python3", "ffmpeg"), "ytdl-core": (), "kerberos": ("libkrb5-3",),
    "libreoffice-convert": ("libreoffice-core",),
}  # fmt: skip
_BUILD: Mapping[str, tuple[str, ...]] = {
    "canvas": ("libcairo2-dev", "libpango1.0-dev", "libjpeg-dev", "libgif-dev", "librsvg2-dev", "pkg-config"),
    "pg-native": ("libpq-dev",), "usb": ("libudev-dev",), "kerberos": ("libkrb5-dev",), "odbc": ("unixodbc-dev",),
}  # fmt: skip
_TOOLS = ("python3", "make", "g++")
_BROWSERS = ("chromium", "firefox", "webkit")
_FONTS = ("fonts-liberation",)


@dataclass(frozen=True, slots=True)
class StageNeeds:
    """What the stages of an image need."""

    build: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """For both stages."""
    commands: tuple[str, ...] = ()
    """Commands in the finished image, as root."""


def find_system(packages: list[Package], words: frozenset[str]) -> StageNeeds:
    """From the dependencies of the packages; `words` are those of the code, which name the browsers it starts."""
    names = {name for package in packages for name in package.dependencies}
    everything = {name: spec for package in packages for name, spec in package.all_dependencies.items()}
    build = [library for name in _BUILD if name in names for library in _BUILD[name]]
    if _needs_compiler(everything):
        build = [*_TOOLS, *build]
    if any(
        spec.startswith(("git", "github:", "gitlab:", "bitbucket:")) or ".git" in spec for spec in everything.values()
    ):
        build = ["git", "ca-certificates", *build]
    runtime = [library for name in _RUNTIME if name in names for library in _RUNTIME[name]]
    if everything.keys() & {"prisma", "@prisma/client"}:
        build.append("openssl")
    environment: dict[str, str] = {}
    if "puppeteer" in names or "puppeteer-core" in names:
        runtime.extend(("chromium", *_FONTS))
        environment = {"PUPPETEER_SKIP_DOWNLOAD": "true", "PUPPETEER_EXECUTABLE_PATH": "/usr/bin/chromium"}
    commands: tuple[str, ...] = ()
    if names & {"playwright", "playwright-chromium", "playwright-firefox", "playwright-webkit"}:
        wanted = [browser for browser in _BROWSERS if browser in words or f"playwright-{browser}" in names] or [
            "chromium"
        ]
        environment |= {"PLAYWRIGHT_BROWSERS_PATH": "/ms-playwright", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}
        commands = (f"npx playwright install --with-deps {' '.join(wanted)}",)
    return StageNeeds(tuple(dict.fromkeys(build)), tuple(dict.fromkeys(runtime)), environment, commands)


def _needs_compiler(specs: Mapping[str, str]) -> bool:
    """Newer ones of sharp bring their binaries as packages."""
    found = set(specs) & _COMPILED
    if "sharp" in found and (match := re.match(r"[\^~>=v\s]{0,4}(\d+)\.(\d+)", specs["sharp"])):
        found -= {"sharp"} if (int(match[1]), int(match[2])) >= (0, 33) else set()
    return bool(found)
