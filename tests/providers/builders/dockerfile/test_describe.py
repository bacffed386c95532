"""Where the process of a Dockerfile listens, and whether what it copies is there: no engine needed."""

from pathlib import Path

import pytest

from orca.providers.builders.dockerfile.describe import describe
from orca.sdk.builders import Detection, Refusal
from orca.sdk.trees import Tree

NODE = "FROM node:22\n"
PORTS = {
    "plain": (NODE + "EXPOSE 3000\n", 3000),
    "argument": ("FROM python\nARG WEB=3000\nEXPOSE $WEB 9229\n", 3000),
    "global argument": ("ARG WEB=8000\nFROM python\nARG WEB\nEXPOSE ${WEB}/tcp\n", 8000),
    "debugger first": (NODE + "EXPOSE 9229 8081\n", 8081),
    "debugger only": (NODE + "EXPOSE 5005\n", None),
    "several": (NODE + "EXPOSE 3000 4000\n", None),
    "several and PORT": (NODE + "ENV PORT=4000\nEXPOSE 3000 4000\n", 4000),
    "shell beside it": ("FROM x\nEXPOSE 22 3000\n", 3000),
    "TLS beside it": ("FROM x\nEXPOSE 443 80\n", 80),
    "only PORT": (NODE + "ENV PORT=8080\n", 8080),
    "PORT of a lower stage": ("FROM node AS base\nENV PORT=8080\nFROM base\nCMD x\n", 8080),
    "known base": ("FROM nginx:alpine AS base\nFROM base\n", 80),
    "PHP with Apache": ("FROM php:8.3-apache\n", 80),
    "PHP without a server": ("FROM php:8.3-fpm\n", None),
    "UDP": ("FROM x\nEXPOSE 53/udp\n", None),
    "no port": ("FROM x\nEXPOSE 99999 abc\n", None),
}


@pytest.mark.parametrize("case", PORTS)
def test_port_of_a_dockerfile_is_the_one_for_visitors(case: str, tmp_path: Path) -> None:
    text, port = PORTS[case]
    found = describe(Tree(tmp_path), "Dockerfile", text)
    assert isinstance(found, Detection)
    assert found.port == port
    assert found.port_choices == ((3000, 4000) if case == "several" else ())
    assert bool(found.warnings) == (case == "debugger only")


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        ("COPY a.txt /x/", ""), ("COPY --chown=1:1 ./sub/ /x/", ""), ('COPY ["a b", "/x/"]', "a b"), ("COPY *.txt /x/", ""),
        ("COPY *.md a.txt /x/", "*.md"), ("COPY . .", ""), ("COPY / /x", ""), ("COPY sub/*.lock sub/b* /x/", "sub/*.lock"),
        ("ADD https://example.org/a /a", ""), ("ADD gone.tar /", "gone.tar"), ("ARG A=x\nCOPY $A /x", ""),
        ("COPY --from=other /gone /x", ""), ("COPY package.json pnpm-lock.yam[l] ./", "package.json, pnpm-lock.yam[l]"),
    ],
)  # fmt: skip
def test_a_copy_of_what_is_not_there_is_said_before_the_build(lines: str, missing: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.txt", "sub/b.txt"):
        (tmp_path / name).write_text("")
    text = f"FROM scratch AS other\nFROM scratch AS unused\nCOPY unused /\nFROM scratch\n{lines}\n"
    found = describe(Tree(tmp_path), "Dockerfile", text)
    if not missing:
        assert isinstance(found, Detection)
        return
    assert isinstance(found, Refusal)
    assert f"not in the source: {missing}." in found.reason
    assert found.hint


@pytest.mark.parametrize(("lines", "is_action"), [("ENTRYPOINT hugo", True), ("EXPOSE 80", False)])
def test_a_dockerfile_of_an_action_without_a_port_is_no_service(lines: str, is_action: bool, tmp_path: Path) -> None:
    (tmp_path / "action.yml").write_text("name: x\nruns:\n  using: docker\n  image: Dockerfile\n")
    found = describe(Tree(tmp_path), "Dockerfile", f"FROM scratch\n{lines}\n")
    assert isinstance(found, Refusal) == is_action


def test_the_summary_names_the_image_below_variables_and_stages(tmp_path: Path) -> None:
    found = describe(Tree(tmp_path), "Dockerfile", "ARG V=3.12\nFROM python:${V}-slim AS base\nFROM base AS last\n")
    assert isinstance(found, Detection)
    assert found.summary == "Dockerfile · 2 stages, ends on python:3.12-slim"
