"""BuildKit's plain progress, old and new, becomes a log for people."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.providers.builders.buildkit.failures import FailedBuild, copied_files, explain_refusal, explain_step
from orca.providers.builders.buildkit.progress import LogSink, Progress, Step

OLD = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:e6a9
#1 transferring dockerfile: 347B done
#1 DONE 0.0s

#2 [internal] load metadata for docker.io/library/python:3.12-slim
#2 DONE 1.1s

#3 [internal] load build context
#3 sha256:8bf8
#3 transferring context: 1.98MB 0.0s done
#3 DONE 0.0s

#4 [build 1/4] FROM docker.io/library/python:3.12-slim@sha256:abc
#4 CACHED

#5 [build 2/4] COPY .orca-build-0123* /
#5 CACHED

#6 [build 3/4] COPY requirements.txt .
#6 sha256:abc
#6 CACHED

#7 [build 4/4] RUN pip install -r requirements.txt
#7 sha256:def
#7 0.306 Collecting fastapi
#7 1.2   downloading\x1b[31m 10%\r 50%\r 100%\x1b[0m
#7 ...

#8 [stage-1 1/2] COPY .orca-build-0123* /
#8 DONE 0.0s

#7 [build 4/4] RUN pip install -r requirements.txt
#7 2.0 #9 [fake 1/1] RUN rm -rf /
#7 DONE 12.3s

#9 exporting to image
#9 exporting layers 0.1s done
#9 DONE 0.1s
"""

NEW_FAILURE = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 100B done
#1 DONE 0.0s

#5 [3/3] RUN make
#5 0.1 make: *** No targets.
#5 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2
------
 > [3/3] RUN make:
0.1 make: *** No targets.
------
Dockerfile:4
--------------------
ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2
"""


def follow(text: str) -> tuple[Progress, list[str]]:
    progress = Progress()
    return progress, [line for text_line in text.splitlines() for line in progress.feed(text_line)]


def test_a_build_is_told_in_steps() -> None:
    progress, lines = follow(OLD.replace("\r", "\N{SYMBOL FOR CARRIAGE RETURN}"))
    lines = [line.replace("\N{SYMBOL FOR CARRIAGE RETURN}", "\r") for line in lines]
    assert lines[:6] == [
        "Source sent to the builder: 1.98MB",
        "[build 1/3] FROM docker.io/library/python:3.12-slim@sha256:abc",
        "[build 1/3] cached",
        "[build 2/3] COPY requirements.txt .",
        "[build 2/3] cached",
        "[build 3/3] RUN pip install -r requirements.txt",
    ]
    assert "[build 3/3] | Collecting fastapi" in lines
    assert "[build 3/3] | #9 [fake 1/1] RUN rm -rf /" in lines
    assert lines[-1] == "[build 3/3] done in 12.3 s"
    assert progress.failed is None
    assert progress.summarise(14.04) == "3 steps, 2 cached, 14.0 s"


def test_progress_bars_leave_their_last_word() -> None:
    progress = Progress()
    progress.feed("#7 [2/2] RUN x")
    assert progress.feed("#7 1.2  10%\r 50%\r\x1b[32m100%\x1b[0m\r") == ["[1/1] | \x1b[32m100%\x1b[0m"]
    assert progress.feed("#7 1.2 \x1b]0;title\x07x\x1b[2J") == ["[1/1] | x"]
    assert list(progress.steps[7].last_lines) == ["100%", "x"]


def test_a_failure_is_kept_with_its_exit_code() -> None:
    progress, lines = follow(NEW_FAILURE)
    assert progress.failed is not None
    assert (progress.failed.instruction, progress.failed.exit_code) == ("RUN make", 2)
    assert list(progress.failed.last_lines) == ["make: *** No targets."]
    assert lines[-1].startswith("[2/2] failed: process")
    assert progress.trailer[-1].startswith("ERROR: failed to solve")


async def test_lines_are_put_together_and_secrets_are_hidden() -> None:
    lines: list[str] = []

    async def log(line: str) -> None:
        lines.append(line)

    sink = LogSink(Progress(), ("s3cret-value",), log)
    pieces: list[tuple[Literal["stdout", "stderr"], bytes]] = [
        ("stderr", b"#5 [1/2] RUN echo s3cr"), ("stdout", b"sha256:abc\n"), ("stderr", b"et-value\n#5 0.1 caf\xc3"), ("stderr", b"\xa9 s3cret-value\xff\n#5 DO"), ("stderr", b"NE 1.0s"),
    ]  # fmt: skip
    for stream, data in pieces:
        await sink.take(stream, data)
    await sink.flush()
    assert lines == ["[1/1] RUN echo •••", "[1/1] | café •••\ufffd", "[1/1] done in 1.0 s"]


@given(st.lists(st.text(alphabet=st.sampled_from("#0123456789 [].RUNERODCAHED:/-\n\x1b"), max_size=40), max_size=30))
def test_no_line_breaks_it(lines: list[str]) -> None:
    progress = Progress()
    for line in lines:
        progress.feed(line)
    progress.summarise(0)


def test_an_error_of_several_lines_keeps_its_exit_code() -> None:
    """BuildKit quotes the command as it is, and puts its mark before the first line only."""
    progress, _ = follow("""\
#4 [2/2] RUN x
#4 ERROR: executor failed running [/bin/sh -c echo exit code: 3
more]: exit code: 137

#5 [3/3] RUN y
#5 CANCELED
------
 > [2/2] RUN x:
no exit code: 9
""")
    assert progress.failed
    assert progress.failed.exit_code == 137
    assert progress.failed.error.endswith("more]: exit code: 137")


@pytest.mark.parametrize(
    ("name", "error", "code", "observed", "kind", "words", "hint"),
    [
        ("[2/3] RUN x", "exit code: 127", 127, FailedBuild(), "build-command-missing", "1/2: RUN x", "Install it"),
        ("[2/3] RUN x", "exit code: 126", 126, FailedBuild(), "build-command-missing", "executed", "chmod=+x"),
        ("[2/3] RUN x", "exit code: 137", 137, FailedBuild(), "build-failed", "exit code 137", "memory"),
        ("[2/3] RUN x", "exit code: 137", 137, FailedBuild(out_of_memory=True, memory_bytes=1 << 30), "build-out-of-memory", "1024 MiB", "raise"),
        ("[2/3] RUN x", "exit code: 1", 1, FailedBuild(), "build-failed", "exit code 1", "lines above"),
        ("[2/3] RUN x", "the daemon said so", None, FailedBuild(), "build-failed", "daemon said so", "lines above"),
        ("[2/3] COPY a /b", "not found", None, FailedBuild(missing_files=("a",)), "build-file-missing", "copies a", "committed"),
        ("[2/3] COPY a /b", "not found", None, FailedBuild(), "build-file-missing", "not found", ".dockerignore"),
        ("[internal] load metadata for docker.io/a/b:1", "no", None, FailedBuild(registry_known=False), "base-image-unavailable", "docker.io/a/b:1", "DNS"),
        ("[1/3] FROM ghcr.io/a:1@sha256:00", "no", None, FailedBuild(), "base-image-unavailable", "ghcr.io/a:1", "tag"),
    ],
)  # fmt: skip
def test_failures_are_explained(
    name: str, error: str, code: int | None, observed: FailedBuild, kind: str, words: str, hint: str
) -> None:
    failure = explain_step(Step(name, "failed", error=error, exit_code=code), observed)
    assert failure.code == kind
    assert words in failure.message
    assert hint in failure.hint


def test_line_numbers_are_those_of_the_user() -> None:
    progress, _ = follow(
        "failed to solve with frontend dockerfile.v0: dockerfile parse error line 9: unknown instruction: X"
    )
    assert "parse error line 4: unknown instruction: X" in explain_refusal(progress, lambda number: number - 5).message
    assert "no reason" in explain_refusal(Progress(), lambda number: number).message


@pytest.mark.parametrize(
    ("instruction", "files"),
    [
        ("COPY a b /c", ("a", "b")),
        ("COPY --chown=1:1 ./a/ /c", ("./a/",)),
        ('COPY ["a b", "/c"]', ("a b",)),
        ("COPY --from=x a /c", ()),
        ("ADD https://x/y a* $B ${C} d /c", ("d",)),
        ('COPY "unclosed /c', ()),
        (f"COPY {'[' * 1000}{']' * 1000} /c", ()),
        ("COPY a", ()),
    ],
)
def test_copied_files_are_the_plain_ones(instruction: str, files: tuple[str, ...]) -> None:
    assert copied_files(instruction) == files
