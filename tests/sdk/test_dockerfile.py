"""DOC-08..10, DOC-12: a Dockerfile is read as BuildKit reads it, and the engine gets nothing but what was read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.sdk.dockerfile import RESERVED_NAME, BaseImage, Dockerfile, Resolved, parse_dockerfile, render, resolve
from orca.sdk.dockerfile.errors import BadDockerfile

SAMPLE = """\
# syntax=evil/frontend:1
# escape=`

ARG BASE=python
FROM --platform=$BUILDPLATFORM ${BASE}:3.12-slim AS Build
# a comment
RUN pip install `
  # inside
    fastapi `

    uvicorn
from build
COPY --from=build /a /b
COPY --chown=1:1 --from="ghcr.io/x/y:1" /c /d
RUN --mount=type=bind,target=/x,from=busybox ls
"""


def parse(text: str, *, heredocs: bool = True) -> Dockerfile:
    return parse_dockerfile(text, heredocs=heredocs)


def read(text: str, target: str | None = None, **arguments: str) -> Resolved:
    return resolve(parse(text), arguments, "amd64", target)


def images(text: str, target: str | None = None, **arguments: str) -> list[str]:
    shown = [image.name for image in read(text, target, **arguments).images]
    return [name.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest") for name in shown]


def rendered(text: str, key: str = "key") -> list[str]:
    resolved = read(text)
    pins = {image: f"pinned:{number}" for number, image in enumerate(resolved.images)}
    return render(resolved, pins, key).text.splitlines()


def test_reads_stages_continuations_and_directives() -> None:
    dockerfile = parse(SAMPLE)
    assert dockerfile.escape == "`"
    assert [(i.keyword, i.line, i.end) for i in dockerfile.instructions] == [
        ("ARG", 4, 4), ("FROM", 5, 5), ("RUN", 7, 11), ("FROM", 12, 12), ("COPY", 13, 13), ("COPY", 14, 14), ("RUN", 15, 15),
    ]  # fmt: skip
    assert dockerfile.instructions[2].rest.split() == ["pip", "install", "fastapi", "uvicorn"]


def test_the_engine_gets_what_was_read_and_nothing_else() -> None:
    resolved = read(SAMPLE)
    pins = dict(zip(resolved.images, ("pinned:0", "pinned:1", "pinned:2"), strict=True))
    rewritten = render(resolved, pins, "team-a")
    marker = next(line for line in rewritten.text.splitlines() if RESERVED_NAME in line)
    assert rewritten.text.splitlines() == [
        "# escape=`", "", "ARG BASE=python", "FROM pinned:0 AS build", marker, "RUN pip install     fastapi     uvicorn",
        "FROM build", marker, "COPY --from=build /a /b", "COPY --chown=1:1 --from=pinned:1 /c /d",
        "RUN --mount=type=bind,target=/x,from=pinned:2 ls",
    ]  # fmt: skip
    assert marker.startswith(f"COPY {RESERVED_NAME}")
    assert render(resolved, pins, "team-b").text != rewritten.text
    assert render(resolved, pins, "team-a").text == rewritten.text
    assert [rewritten.original_line(number) for number in (1, 6, 9, 99)] == [1, 7, 13, 15]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SAMPLE, ["python:3.12-slim", "ghcr.io/x/y:1", "busybox"]),
        ("FROM scratch", []),
        ("FROM a\nFROM b\nCOPY --from=0 / /", ["a", "b"]),
        ("FROM a\nFROM 0", ["0"]),
        ("FROM a\nFROM b\nCOPY --from=00 / /", ["a", "b"]),
        ("FROM a AS x\nFROM X\nCOPY --from=x / /\nFROM X\nCOPY --from=X / /", ["a"]),
        ("FROM x\nCOPY --from=later / /\nRUN y", ["x", "later"]),
        ("FROM dev-only AS dev\nFROM x", ["x"]),
        ("ARG A\nFROM ${A:-d}:1", ["d:1"]),
        ("FROM ${A:-d}:1", ["d:1"]),
        ("ARG A=x\nFROM ${A:+y}", ["y"]),
        ("ARG A=x B=$A/z\nFROM $B", ["x/z"]),
        ("ARG A='x'\nARG B=\"y\"\nFROM $A/$B", ["x/y"]),
        ("FROM base-${TARGETARCH}", ["base-amd64"]),
        ('FROM "x"', ["x"]),
        ("FROM or\\ca/x", ["orca/x"]),
        ("ARG A='$B'\nFROM a$A", []),
        ("FROM x\nARG A=y\nRUN echo --from=$A", ["x"]),
        ("FROM x\nCOPY --fr\\\nom=secret / /", ["x", "secret"]),
        ("FROM x\nCOPY --fr\\\n# comment\nom=secret / /", ["x", "secret"]),
        ("FROM x\nCOPY --from=sec\\  \n\n  # c\nret / /", ["x", "secret"]),
        ("FROM x\nCOPY --from='secret' / /", ["x", "secret"]),
        ('FROM x\nCOPY --"from"=secret / /', ["x", "secret"]),
        ("\ufeffFROM x\r\nCOPY\t--from=secret\t/ /\r\n", ["x", "secret"]),
        ('FROM x\nCOPY --from=secret ["/", "/"]', ["x", "secret"]),
        ("FROM x\nRUN --mount=type=bind,target=/a,from=secret ls", ["x", "secret"]),
        ("FROM x\nRUN --mount=type=bind,FROM=secret --mount=from=other ls", ["x", "secret", "other"]),
        ('FROM x\nRUN --mount=type=bind,from="secret" ls', ["x", "secret"]),
        ("  \u00a0from x\ncopy --from=secret / /", ["x", "secret"]),
        ("//syntax=evil\n", None),
        ('{"syntax": "evil"}\n', None),
    ],
)
def test_finds_the_images_a_build_uses(text: str, found: list[str] | None) -> None:
    try:
        assert images(text) == found
    except BadDockerfile:
        assert not found


def test_a_target_needs_no_more_than_its_own_stages() -> None:
    text = "FROM a AS one\nFROM b AS two\nCOPY --from=one / /\nFROM c"
    assert images(text, "one") == ["a"]
    assert images(text, "TWO") == ["a", "b"]
    assert images(text, "2") == ["c"]
    with pytest.raises(BadDockerfile, match="no stage 'three'"):
        images(text, "three")


def test_given_arguments_count_when_they_are_declared() -> None:
    assert images("ARG A=x\nFROM $A", A="orca/secret") == ["orca/secret"]
    with pytest.raises(BadDockerfile):
        images("FROM $A", A="orca/secret")


@pytest.mark.parametrize(
    "text",
    [
        "", "RUN x", "# FROM x", "FROM", "FROM $A", "FROM ${A-x}", "FROM ${A#x}", "FROM $(x)", "FROM x;y", "FROM X/y", "FROM x@sha256:00",
        "FROM x\nCOPY --from=$A / /", "FROM x\nRUN --mount=type=bind,from=${A} ls", "FROM x\nCOPY --fr\\om=y / /", "FROM x\nCOPY --from y / /",
        "FROM x\nCOPY --from='y / /", "FROM x\nCOPY --FROM=y / /", "FROM x\nCOPY --from=a --from=b / /", "FROM x\nCOPY --from= / /",
        "FROM x\nCOPY \u00a0--from=y / /", "FROM x\nCOPY --chown=1 \u2003--from=y / /", "FROM x\nCOPY --chown=\u00e0--from=y / /", "FROM x\nCOPY -- --from=y / /",
        'FROM x\nRUN --mount=type=bind,\\"from=y\\" ls', "FROM x\nRUN --mount='type=bind,\"from=y\"' ls", "FROM x\nRUN --mount=from=y,from=z ls",
        "FROM x\nRUN --mount=from=0 ls", "FROM x\nCOPY --from=0 / /", "FROM x\nCOPY --from=7 / /", "FROM x AS a\nCOPY --from=a / /",
        "FROM x AS a\nFROM y AS A", "FROM x AS scratch", "FROM x AS -a", "FROM x AS a b", "FROM x\nONBUILD COPY --from=y / /", "FROM x\nONBUILD ONBUILD RUN y",
        "FROM x\nONBUILD RUN --mount=from=y ls", "FROM x\nONBUILD FROM y", "FROM x\nONBUILD", "FROM x\nRUN --network=host ls", "FROM x\nRUN --security=insecure ls",
        "FROM x\nRUN a \\\\\nFROM y", "FROM x\nRUN a \\\u00a0\nFROM y", "FROM x\nRUN <<EOF\nabc", "FROM x\nRUN <<EOF\nabc\nEOF\r\r\nCOPY --from=y / /\nEOF",
        'FROM x\nRUN \\"<<EOF\nFROM y\nEOF', "FROM x\nRUN echo ${a} <<EOF\nFROM y\nEOF", "FROM x\nRUN <<E$F\nb\nE$F", 'FROM x\nRUN echo "a <<EOF\nFROM y\nEOF',
        'FROM x\nRUN ["true"] <<EOF\nCOPY --from=y / /\nCMD a \\\nEOF', 'FROM x\nADD ["a","/x"] b', 'FROM x\nONBUILD COPY ["a","/x"] b',
        "# escape=x\nFROM x", "# escape=`\n# escape=`\nFROM x", "FROM -x", "FROM --platform=x", "FROM x\n\u212aRUN y", "FROM x\x0cy", "NONSENSE\nFROM x",
        "FROM x\nENV A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" + "ENV A=$A$A$A$A$A$A$A$A$A$A$A$A\n" * 12,
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(BadDockerfile) as caught:
        images(text)
    assert caught.value.hint or "FROM" in caught.value.message


def test_continued_lines_and_here_documents_may_begin_with_from() -> None:
    assert images('FROM x\nRUN psql -c "SELECT 1 \\\n  FROM y"') == ["x"]
    assert images("FROM x\nRUN psql <<EOF\nSELECT 1\nFROM y\nEOF") == ["x"]
    assert images("FROM x\nRUN a \\\n# c\n\nFROM y") == ["x"]


def test_heredocs_are_kept_where_the_engine_knows_them() -> None:
    text = "FROM x\nRUN <<EOF cat\n# no comment\nCOPY --from=y / /\nEOF\nCOPY <<-'A' <<B /dest/\n\tone\n\tA\ntwo\nB\nRUN echo '<<EOF' $((1<<2)) a<<b\nRUN y"
    dockerfile = parse(text)
    assert [(i.keyword, i.line, i.end) for i in dockerfile.instructions] == [
        ("FROM", 1, 1),
        ("RUN", 2, 5),
        ("COPY", 6, 10),
        ("RUN", 11, 11),
        ("RUN", 12, 12),
    ]
    assert rendered(text)[4:] == text.splitlines()[1:]
    with pytest.raises(BadDockerfile, match="here-document") as caught:
        parse(text, heredocs=False)
    assert "Docker to version 23" in caught.value.hint
    assert parse("FROM x\nRUN echo '<<EOF' $((1<<2))", heredocs=False)
    assert parse("FROM x\nRUN echo \\$x $((1<<2)) && cat <<< x")


def test_values_of_arguments_and_variables_are_put_in() -> None:
    text = (
        "ARG P=80\nFROM x AS base\nARG P\nENV A=${P}80 B='$A' C=\"$A b\"\nEXPOSE $A 1/udp\n"
        "FROM base\nARG P\nARG Q=${P:-5}\nENV LIST='1 2'\nEXPOSE $LIST ${A:+7} $NONE\nCOPY a$P '/b' /d\nWORKDIR /app/$Q\nLABEL a=${x#y}\n"
    )
    stages = read(text, P="90").stages
    assert [i.words for i in stages[0].instructions][1:] == [("A=9080", "B=$A", "C= b"), ("9080", "1/udp")]
    assert [i.words for i in stages[1].instructions][3:] == [
        ("1", "2", "7"), ("a90", "/b", "/d"), ("/app/90",), ("a=${x#y}",),
    ]  # fmt: skip
    assert stages[1].environment == {"A": "9080", "B": "$A", "C": " b", "LIST": "1 2"}
    assert stages[1].arguments == {"P", "Q"}


def test_other_platforms_are_kept() -> None:
    text = "ARG P=linux/arm64\nFROM --platform=$P x\nFROM --platform=linux/amd64 x\nCOPY --from=0 / /"
    assert read(text).images == [
        BaseImage("docker.io/library/x:latest", "linux/arm64"),
        BaseImage("docker.io/library/x:latest"),
    ]
    assert [line for line in rendered(text) if line.startswith("FROM")] == [
        "FROM --platform=linux/arm64 pinned:0",
        "FROM pinned:1",
    ]


def test_very_long_instructions_reach_the_engine_in_lines_that_it_takes() -> None:
    long = "FROM x\nRUN echo " + " \\\n".join(f"word{number}" for number in range(20_000))
    lines = rendered(long)
    assert max(map(len, lines)) < 1 << 16
    assert parse("\n".join(lines)).instructions[-1].rest == parse(long).instructions[-1].rest


LINES = st.sampled_from(
    [
        "FROM x", "from y AS z", "RUN a \\", "RUN b", "# comment", "", "  ", "\tFROM w", "COPY . /", "RUN a \\\\", "RUN <<EOF", "EOF", " \\", "ARG A=1",
        "COPY --from=z / /", "COPY --from=v / /", "RUN cat <<'EOF' \\", "--from=u / /", "COPY \\", "# escape=`", "RUN c `", "ONBUILD \\", 'RUN echo "',
    ]
)  # fmt: skip


@given(st.lists(LINES, max_size=12), st.booleans())
def test_what_is_rendered_means_the_same_again(lines: list[str], heredocs: bool) -> None:
    """Every stage has its key, every reference is pinned, and reading it once more finds the same instructions."""
    try:
        resolved = resolve(parse("\n".join(lines), heredocs=heredocs), {}, "amd64")
    except BadDockerfile:
        return
    pins = {image: f"pinned{number}:1" for number, image in enumerate(resolved.images)}
    again = parse(render(resolved, pins, "key").text, heredocs=heredocs)
    found = resolve(again, {}, "amd64")
    assert {image.name for image in found.images} == {f"docker.io/library/{pin}" for pin in pins.values()}
    for stage, ours in zip(resolved.stages, found.stages, strict=True):
        assert ours.instructions[0].words[0].startswith(RESERVED_NAME)
        if stage.index in resolved.reachable:
            assert [(i.keyword, i.source.effective.rest, i.source.body) for i in ours.instructions[1:]] == [
                (i.keyword, i.source.effective.rest, i.source.body) for i in stage.instructions
            ]
