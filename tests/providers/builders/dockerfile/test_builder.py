"""Real BuildKit builds: logs, caches that stay apart, secrets that stay out, limits that hold, cancel that stops."""

import asyncio
import base64
import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cancelling import CancelledAt

from orca.errors import BadInput, DeadlineExceeded, OrcaError, ProviderUnavailable, StepFailed
from orca.providers.builders.buildkit import BuildKitConfig, DockerClient
from orca.providers.builders.buildkit import errors as failures
from orca.providers.builders.dockerfile import DockerfileBuilder, DockerfileBuilderProvider
from orca.providers.connectors.local import LocalConnector
from orca.sdk.builders import BuiltImage, Detection
from orca.sdk.dockerfile.errors import BadDockerfile
from orca.sdk.trees import UnsafePath

pytestmark = pytest.mark.docker

BUSYBOX = """\
FROM scratch AS base
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
RUN /bin/busybox --install -s /bin
ENV PATH=/bin
"""


async def build(
    bench: Any, dockerfile: str, files: Mapping[str, str | bytes] | None = None, **changes: Any
) -> BuiltImage:
    tree = bench.tree({"Dockerfile": BUSYBOX + dockerfile, **(files or {})}, busybox=True)
    return await DockerfileBuilder(bench.client).build(bench.request(tree, **changes), bench.log)


def printed(bench: Any) -> list[str]:
    """What the steps of the builds printed."""
    return [match[1] for line in bench.lines if (match := re.match(r"\[[^\]]+\] \| (.*)", line))]


async def test_builds_and_tells_the_story(bench: Any) -> None:
    image = await build(
        bench, "COPY a.txt /a.txt\nRUN echo hello; printf 'one\\rtwo\\n'; sleep 1.2\n", {"a.txt": "content"}
    )
    inspected = bench.inspect(image.tag)
    assert inspected["Id"] == image.id
    assert inspected["Size"] == image.size_bytes
    assert inspected["Config"]["Labels"]["orca.test"] == bench.id
    assert "[2/4] RUN /bin/busybox --install -s /bin" in bench.lines
    assert "[4/4] | hello" in bench.lines
    assert "[4/4] | two" in bench.lines
    assert any(re.match(r"\[4/4\] done in [1-9]\d*\.\d s", line) for line in bench.lines)
    assert any(line.startswith("Source sent to the builder: ") for line in bench.lines)
    assert bench.lines[-1].startswith("4 steps, 0 cached, ")
    assert ".orca-build" not in "".join(bench.lines)
    tree = bench.home / "tree1"
    assert sorted(path.name for path in tree.iterdir()) == ["Dockerfile", "a.txt", "busybox"]


async def test_the_second_build_hits_the_cache_of_its_service(bench: Any) -> None:
    first = await build(bench, "RUN date +%N > /stamp\n", {"a": "1"})
    bench.lines.clear()
    second = await build(bench, "RUN date +%N > /stamp\n", {"a": "2"})
    assert first.id != second.id  # other labels
    assert "[3/3] cached" in bench.lines
    assert bench.lines[-1].startswith("3 steps, 3 cached")
    bench.lines.clear()
    await build(bench, "RUN date +%N > /stamp\nRUN true\n")
    assert bench.lines[-1].startswith("4 steps, 3 cached")


async def test_another_team_gets_neither_cache_nor_cache_mounts(bench: Any) -> None:
    """DOC-10."""
    dockerfile = "FROM base AS second\nCOPY a.txt /a.txt\nRUN --mount=type=cache,target=/cache cat /cache/* > /found; echo team-a > /cache/poison; cat /found\n"
    mine, other = f"a-{bench.id}", f"b-{bench.id}"
    await build(bench, dockerfile, {"a.txt": "same"}, cache_key=mine)
    bench.lines.clear()
    await build(bench, dockerfile, {"a.txt": "same"}, cache_key=other)
    assert bench.lines[-1].startswith("4 steps, 0 cached")
    assert not any("team-a" in line for line in printed(bench))
    bench.lines.clear()
    await build(bench, dockerfile + "RUN true\n", {"a.txt": "same"}, cache_key=mine)
    assert bench.lines[-1].startswith("5 steps, 4 cached")


async def test_build_secrets_are_used_and_stay_nowhere(bench: Any, tmp_path: Path) -> None:
    """DOC-11, SEC-01."""
    canary = "canary-" + os.urandom(8).hex()
    several = f"{canary}-first\n{canary}-second\n"
    image = await build(
        bench,
        "RUN --mount=type=secret,id=NPM_TOKEN --mount=type=secret,id=PEM "
        "wc -c < /run/secrets/NPM_TOKEN; cat /run/secrets/NPM_TOKEN /run/secrets/PEM; md5sum < /run/secrets/PEM > /sum\n",
        secrets={"NPM_TOKEN": canary, "PEM": several},
    )
    assert f"[3/3] | {len(canary)}" in bench.lines
    assert any("•••" in line for line in bench.lines)
    seen = ["\n".join(bench.lines), json.dumps(bench.inspect(image.id))]
    seen.append(
        subprocess.run(["docker", "history", "--no-trunc", image.id], check=True, capture_output=True, text=True).stdout
    )
    seen += [" ".join(command.argv) for command in bench.commands]
    subprocess.run(["docker", "save", "-o", str(tmp_path / "image.tar"), image.id], check=True)
    with tarfile.open(tmp_path / "image.tar") as archive:
        for member in archive:
            if file := archive.extractfile(member):
                seen.append(file.read().decode("latin-1"))
    for secret in (canary, base64.b64encode(canary.encode()).decode()):
        assert not any(secret in text for text in seen)
    carrying = [command for command in bench.commands if canary in command.env.values()]
    assert len(carrying) == 1
    assert carrying[0].argv[1] == "build"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"arguments": {"NPM_TOKEN": "x"}}, failures.SecretInArgument),
        ({"arguments": {"db_password": "x"}}, failures.SecretInArgument),
        ({"arguments": {"BUILDKIT_SYNTAX": "evil/frontend"}}, BadInput),
        ({"arguments": {"--network": "host"}}, BadInput),
        ({"arguments": {"A B": "x"}}, BadInput),
        ({"arguments": {"A": "x" * 200_000}}, BadInput),
        ({"target": "--privileged"}, BadInput),
        ({"target": "a b"}, BadInput),
        ({"tag": "-x"}, BadInput),
        ({"secrets": {"a,src=/etc/shadow": "x"}}, BadInput),
        ({"secrets": {"A": "x\0"}}, BadInput),
    ],
)
async def test_what_may_not_be_asked_is_refused_before_anything_runs(
    bench: Any, changes: dict[str, Any], error: type[OrcaError]
) -> None:
    """INJ-10."""
    with pytest.raises(error) as caught:
        await build(bench, "", **changes)
    assert caught.value.hint
    assert not bench.commands


async def test_arguments_arrive_exactly(bench: Any) -> None:
    odd = "a $b `c` \"d\" 'e' \\ ; & | é\nnext"
    await build(
        bench,
        'ARG ODD\nARG PUBLIC_KEY\nRUN printf %s "$ODD" | base64; echo "no_proxy=$NO_PROXY"\n',
        arguments={"ODD": odd, "NO_PROXY": "internal.example", "PUBLIC_KEY": "x"},
    )
    *encoded, _ = printed(bench)
    assert base64.b64decode("".join(encoded)).decode() == odd
    assert any("no_proxy=internal.example,orca-build-" in line for line in bench.lines)


async def test_frontends_are_not_asked_for(bench: Any) -> None:
    """DOC-09."""
    tree = bench.tree({"Dockerfile": "# syntax=evil.example/frontend:1\n" + BUSYBOX}, busybox=True)
    await DockerfileBuilder(bench.client).build(bench.request(tree), bench.log)
    assert not any("evil" in line for line in bench.lines)


async def test_images_of_other_services_are_no_base(bench: Any) -> None:
    victim = await build(bench, "RUN echo secret-of-team-a > /secret\n")
    attempts = [
        f"FROM {victim.tag}\n",
        f"ARG A={victim.tag.partition(':')[0]}\nFROM ${{A}}:{victim.tag.partition(':')[2]}\n",
        f"FROM scratch\nCOPY --from={victim.tag} /secret /secret\n",
        BUSYBOX + f"RUN --mount=type=bind,from={victim.tag},target=/x cat /x/secret\n",
    ]
    for dockerfile in attempts:
        tree = bench.tree({"Dockerfile": dockerfile}, busybox=True)
        with pytest.raises(failures.BaseImageForbidden):
            await DockerfileBuilder(bench.client).build(bench.request(tree), bench.log)
    tree = bench.tree({"Dockerfile": "ARG A\nFROM $A\n"}, busybox=True)
    with pytest.raises(failures.BaseImageForbidden):
        await DockerfileBuilder(bench.client).build(bench.request(tree, arguments={"A": victim.tag}), bench.log)


@pytest.mark.parametrize(
    "label",
    ["traefik.enable=true", "caddy=x", "com.docker.compose.project=x", "containerd.io/x=y", "orca.service=other"],
)
async def test_labels_that_steer_the_host_are_refused(bench: Any, label: str) -> None:
    """DOC-12."""
    request_tag = f"orca-test-{bench.id}:labels"
    with pytest.raises(failures.LabelReserved, match=label.partition("=")[0]):
        await build(bench, f"LABEL {label}\n", tag=request_tag)
    assert not bench_images(bench, request_tag)


def bench_images(bench: Any, tag: str) -> str:
    return subprocess.run(["docker", "image", "ls", "-q", tag], check=True, capture_output=True, text=True).stdout


async def test_labels_cannot_pretend_to_be_another_build(bench: Any) -> None:
    image = await build(bench, "LABEL orca.build=other orca.test=other\n", id="mine" + bench.id)
    assert bench.inspect(image.id)["Config"]["Labels"] == {"orca.test": bench.id, "orca.build": "mine" + bench.id}


@pytest.mark.parametrize(
    ("dockerfile", "error", "message", "code"),
    [
        ("RUN nosuchprogram\n", failures.BuildCommandMissing, "nosuchprogram", 127),
        ("RUN echo oops >&2; exit 3\n", failures.BuildFailed, "exit code 3", 3),
        ("RUN touch /x; /x\n", failures.BuildCommandMissing, "cannot be executed", 126),
        ("COPY busybox missing.txt /x/\n", failures.BuildFileMissing, "copies missing.txt", None),
        ("COPY ignored.txt /x/\n", failures.BuildFileMissing, "ignored.txt", None),
        ("FROM no-such-registry.invalid/a:1\n", failures.BaseImageUnavailable, "no-such-registry.invalid/a:1", None),
        ("RUN true\nNONSENSE x\n", BadDockerfile, "line 7", None),
        ("RUN --network=host true\n", BadDockerfile, "line 6", None),
    ],
)
async def test_failures_name_step_cause_and_next_step(
    bench: Any, dockerfile: str, error: type[StepFailed], message: str, code: int | None
) -> None:
    with pytest.raises(error, match=message) as caught:
        await build(bench, dockerfile, {"ignored.txt": "x", ".dockerignore": "ignored.txt\n"})
    assert caught.value.hint
    assert caught.value.details.get("exit_code") == code
    if code == 3:
        assert caught.value.details["last_lines"] == ["oops"]
    assert not any(path.name.startswith(".orca-build") for path in (bench.home / "tree1").iterdir())


@pytest.mark.parametrize(
    "hog",
    [
        "RUN x=0123456789; while true; do x=$x$x; done\n",
        'RUN ["/bin/sh", "-c", "x=0123456789\\nwhile true; do x=$x$x; done"]\n',
        "ENV NO_PROXY=x no_proxy=x\nRUN exec env -i /bin/sh -c 'x=0123456789; while true; do x=$x$x; done'\n",
    ],
    ids=["plain", "of several lines", "in disguise"],
)
async def test_a_build_that_takes_too_much_memory_ends_alone(bench: Any, hog: str) -> None:
    """Fault 23. The engine's BuildKit knows no limits; the processes are held by a group of ours."""
    started = time.monotonic()
    with pytest.raises(failures.BuildOutOfMemory, match="200 MiB") as caught:
        await build(bench, hog, memory_bytes=200 << 20, deadline=60.0)
    assert time.monotonic() - started < 40
    assert caught.value.details["exit_code"] is not None
    assert not list(Path("/sys/fs/cgroup").glob("*/orca/build-*")) or groups_of(bench) == []


def groups_of(bench: Any) -> list[str]:
    ids = {label for command in bench.commands for label in command.argv if label.startswith("--label=orca.build=")}
    return [
        str(path)
        for path in Path("/sys/fs/cgroup").glob("**/orca/build-*")
        if any(path.name[6:] in label for label in ids)
    ]


async def test_parallel_stages_share_the_memory_of_the_build(bench: Any) -> None:
    hold = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 && sleep 3\n"
    stages = f"FROM base AS one\nRUN true one && {hold}FROM base AS two\nRUN true two && {hold}"
    dockerfile = f"{stages}FROM base\nCOPY --from=one /bin/sh /a\nCOPY --from=two /bin/sh /b\n"
    await build(bench, dockerfile, memory_bytes=300 << 20)
    with pytest.raises(failures.BuildOutOfMemory):
        await build(bench, dockerfile.replace("sleep 3", "sleep 4"), memory_bytes=60 << 20, deadline=60.0)


async def test_cpu_is_limited(bench: Any) -> None:
    await build(bench, "RUN timeout 3 sh -c 'while true; do :; done' || true; times\n", cpus=0.25)
    spent = [match for line in printed(bench) if (match := re.match(r"(\d+)m([\d.]+)s ", line))]
    assert 0 < max(int(match[1]) * 60 + float(match[2]) for match in spent) < 1.6


async def test_cancel_stops_the_work_on_the_engine(bench: Any) -> None:
    mark = f"cancel-{bench.id}"
    task = asyncio.create_task(
        build(
            bench,
            f"RUN echo begun; (sh -c 'while true; do sleep 1; done' {mark} &) ; sh -c 'while true; do sleep 1; done' {mark}\n",
        )
    )
    await begun(bench, task)
    assert processes(mark)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 15
    assert not processes(mark)
    assert not groups_of(bench)
    assert not list((bench.home / "tree1").glob(".orca-build*"))


async def test_a_build_that_takes_too_long_is_stopped(bench: Any) -> None:
    mark = f"deadline-{bench.id}"
    with pytest.raises(DeadlineExceeded, match="took longer than"):
        await build(bench, f"RUN echo begun; sh -c 'while true; do sleep 1; done' {mark}\n", deadline=4.0)
    assert not processes(mark)


async def begun(bench: Any, task: asyncio.Task[Any]) -> None:
    for _ in range(300):
        if any(line.endswith("| begun") for line in bench.lines):
            return
        await asyncio.wait({task}, timeout=0.1)
        assert not task.done(), bench.lines
    raise AssertionError(bench.lines)


def processes(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if mark.encode() in command.split(b"\0"):
            found.append(str(path))
    return found


async def test_a_finished_build_is_not_done_again(bench: Any) -> None:
    dockerfile = "RUN date +%N > /stamp\n"
    tree = bench.tree({"Dockerfile": BUSYBOX + dockerfile}, busybox=True)
    request = bench.request(tree)
    builder = DockerfileBuilder(bench.client)
    first = await builder.build(request, bench.log)
    subprocess.run(["docker", "image", "tag", first.id, f"orca-test-{bench.id}:other"], check=True)
    subprocess.run(["docker", "image", "rm", request.tag], check=True)
    bench.commands.clear()
    assert await builder.build(request, bench.log) == first
    assert bench.inspect(request.tag)["Id"] == first.id
    assert not any("build" in command.argv and "--help" not in command.argv for command in bench.commands)


async def test_the_context_is_the_tree_without_what_is_ignored(bench: Any, tmp_path: Path) -> None:
    files = {
        "keep/a": "1",
        "drop/b": "2",
        ".dockerignore": "drop\n",
        "deploy/web.dockerfile": BUSYBOX + "COPY . /src\nRUN cd /src && find . -type f -o -type l | sort\n",
    }
    tree = bench.tree(files, busybox=True)
    (tree / "passwd").symlink_to("/etc/passwd")
    (tree / "outside").symlink_to("../../")
    builder = DockerfileBuilder(bench.client)
    await builder.build(bench.request(tree, dockerfile="deploy/web.dockerfile"), bench.log)
    assert printed(bench) == [
        "./.dockerignore",
        "./busybox",
        "./deploy/web.dockerfile",
        "./keep/a",
        "./outside",
        "./passwd",
    ]
    (tree / "deploy/web.dockerfile.dockerignore").write_text("*\n!busybox\n!keep\n!.orca-build*\n")
    bench.lines.clear()
    await builder.build(bench.request(tree, dockerfile="deploy/web.dockerfile"), bench.log)
    assert printed(bench) == ["./busybox", "./keep/a"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "nowhere/../../outside"])
async def test_a_dockerfile_that_leads_out_is_refused(bench: Any, target: str) -> None:
    """DOC-07."""
    (bench.home / "outside").write_text("FROM scratch\n")
    tree = bench.tree({"a": ""})
    (tree / "nowhere").mkdir()
    (tree / "Dockerfile").symlink_to(target)
    builder = DockerfileBuilder(bench.client)
    with pytest.raises(UnsafePath):
        await builder.detect(tree)
    with pytest.raises(UnsafePath):
        await builder.build(bench.request(tree), bench.log)
    for name in ("../outside", "/etc/passwd"):
        with pytest.raises(UnsafePath):
            await builder.build(bench.request(tree, dockerfile=name), bench.log)
    assert not bench.commands


async def test_a_tree_that_is_a_link_or_no_directory_is_refused(bench: Any) -> None:
    tree = bench.tree({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    (bench.home / "link").symlink_to(tree)
    with pytest.raises(OrcaError):
        await DockerfileBuilder(bench.client).build(bench.request(bench.home / "link"), bench.log)


async def test_detection_tells_what_is_there(bench: Any) -> None:
    builder = DockerfileBuilder(bench.client)
    assert await builder.detect(bench.tree({"main.py": ""})) is None
    found = await builder.detect(
        bench.tree({"Dockerfile": "FROM golang AS b\nRUN x\nFROM alpine:3\nEXPOSE 53/udp 9090/tcp\n"})
    )
    assert isinstance(found, Detection)
    assert (found.summary, found.port, found.evidence) == (
        "Dockerfile · 2 stages, ends on alpine:3",
        9090,
        ("Dockerfile",),
    )
    found = await builder.detect(bench.tree({"deploy/x": "FROM scratch\n"}), {"dockerfile": "deploy/x"})
    assert isinstance(found, Detection)
    assert found.dockerfile == "FROM scratch\n"
    found = await builder.detect(bench.tree({"Containerfile": "nonsense"}))
    assert isinstance(found, Detection)
    assert "unknown instruction" in found.summary


async def test_an_engine_that_is_away_is_said_so(bench: Any) -> None:
    config = BuildKitConfig(host=f"unix://{bench.home}/nothing.sock")
    async with DockerfileBuilderProvider().open(config, LocalConnector()) as builder:
        with pytest.raises(ProviderUnavailable, match="does not answer"):
            await builder.build(bench.request(bench.tree({"Dockerfile": "FROM scratch\n"})), bench.log)


async def test_a_client_that_cannot_build_is_not_used(bench: Any) -> None:
    fake = bench.home / "docker"
    fake.write_text("#!/bin/sh\necho 'BuildKit is enabled but the buildx component is missing'\nexit 1\n")
    fake.chmod(0o755)
    client = DockerClient(LocalConnector(), BuildKitConfig(docker=str(fake)))
    with pytest.raises(ProviderUnavailable, match="BuildKit") as caught:
        await DockerfileBuilder(client).build(bench.request(bench.tree({"Dockerfile": "FROM scratch\n"})), bench.log)
    assert "buildx" in caught.value.hint


async def test_a_build_that_would_fill_the_disk_is_refused(bench: Any) -> None:
    client = DockerClient(LocalConnector(bench.commands.append), BuildKitConfig(disk_reserve_mb=1 << 30))
    tree = bench.tree({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    with pytest.raises(failures.BuildDiskFull):
        await DockerfileBuilder(client).build(bench.request(tree), bench.log)
    assert not any(command.argv[1] == "build" and "--help" not in command.argv for command in bench.commands)


async def test_a_build_cancelled_at_any_wait_leaves_nothing(bench: Any) -> None:
    """No name of a base image, no folder in the tree, no control group."""
    base = bench.shell_image()
    is_cancelled, point = True, 0
    while is_cancelled:
        point += 2
        tree = bench.tree({"Dockerfile": f"FROM {base}\nENV POINT={point}\n"})
        request = bench.request(tree)
        working = DockerfileBuilder(bench.client).build(request, bench.log)
        (outcome,) = await asyncio.gather(CancelledAt(working, point), return_exceptions=True)
        is_cancelled = isinstance(outcome, asyncio.CancelledError)
        assert [path.name for path in tree.iterdir()] == ["Dockerfile"], point
        names = ["docker", "image", "ls", "--format", "{{.Tag}}", "orca-base"]
        left = subprocess.run(names, check=True, capture_output=True, text=True).stdout
        assert request.id not in left, point
        assert not list(Path("/sys/fs/cgroup").glob(f"*/orca/build-{request.id}")), point
    assert isinstance(outcome, BuiltImage), outcome
    assert point > 10


async def test_a_build_whose_names_cannot_be_removed_has_succeeded(bench: Any) -> None:
    """The image is there; cleaning up fails, such as for an engine that is slow at the moment."""

    def hang(command: Any) -> None:
        if command.argv[1:3] == ("image", "ls") and command.argv[-1] == "orca-base":
            raise DeadlineExceeded("`docker image ls` took longer than 60 seconds.", hint="Try again.")

    tree = bench.tree({"Dockerfile": f"FROM {bench.shell_image()}\nENV A=1\n"})
    client = DockerClient(LocalConnector(hang), BuildKitConfig())
    request = bench.request(tree)
    try:
        image = await DockerfileBuilder(client).build(request, bench.log)
        assert bench.inspect(image.tag)["Id"] == image.id
    finally:
        names = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "orca-base"]
        listed = subprocess.run(names, check=True, capture_output=True, text=True).stdout.split()
        mine = [each for each in listed if request.id in each]
        subprocess.run(["docker", "rmi", "--no-prune", *mine], check=bool(mine), capture_output=True)
