"""The engine is the oracle: whatever spelling lets it take another team's image, Orca refuses, or takes nothing."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orca.errors import StepFailed
from orca.providers.builders.buildkit import errors as failures
from orca.providers.builders.dockerfile import DockerfileBuilder

pytestmark = pytest.mark.docker

BASE = "FROM scratch\nCOPY busybox /bin/busybox\n"
RUN = 'RUN {flag} ["/bin/busybox", "cp", "/m/secret", "/secret"]\n'
SPELLINGS = {
    "plain": "FROM scratch\nCOPY --from=VICTIM /secret /secret\n",
    "quotes": 'FROM scratch\nCOPY --from="VICTIM" /secret /secret\n',
    "quoted name": "FROM scratch\nCOPY --'from'=VICTIM /secret /secret\n",
    "escape": "FROM scratch\nCOPY --fr\\om=VICTIM /secret /secret\n",
    "continued": "FROM scratch\nCOPY --from=\\\nVICTIM /secret /secret\n",
    "continued after a comment": "FROM scratch\nCOPY --fr\\\n  # c\n\nom=VICTIM /secret /secret\n",
    "own escape": "# escape=`\nFROM scratch\nCOPY --fr`\nom=VICTIM /secret /secret\n",
    "escape after a check": "# check=skip=all\n# escape=`\nFROM scratch\nCOPY --fr`\nom=VICTIM /secret /secret\n",
    "json": 'FROM scratch\nCOPY --from=VICTIM ["/secret", "/secret"]\n',
    "case and blanks": "\n\t from scratch\n  cOpY\t--from=VICTIM\t/secret /secret\n",
    "byte order mark": "\ufeffFROM scratch\r\nCOPY --from=VICTIM /secret /secret\r\n",
    "odd blank": "FROM scratch\nCOPY \u2003--from=VICTIM /secret /secret\n",
    "argument": "ARG A=VICTIM\nFROM $A\n",
    "nested argument": 'ARG A=VICTIM\nARG B="${A}"\nFROM ${C:-$B} AS x\nFROM X\n',
    "quoted image": 'FROM "VICTIM"\n',
    "escaped image": "FROM \\VICTIM\n",
    "later stage": "FROM scratch\nCOPY --from=x /secret /secret\nFROM VICTIM AS x\n",
    "mount": BASE + RUN.format(flag="--mount=type=bind,from=VICTIM,target=/m"),
    "quoted mount": BASE + RUN.format(flag='--mount=type=bind,from="VICTIM",target=/m'),
    "mount in capitals": BASE + RUN.format(flag="--mount=TYPE=bind,FROM=VICTIM,TARGET=/m"),
    "mount with quotes inside": BASE + RUN.format(flag='--mount=type=bind,\\"from=VICTIM\\",target=/m'),
    "cache mount": BASE + RUN.format(flag="--mount=type=cache,from=VICTIM,target=/m"),
    "stage of that name": "FROM scratch AS other\nFROM scratch\nCOPY --from=VICTIM /secret /secret\n",
    "on build": "FROM scratch AS x\nONBUILD COPY --from=VICTIM /secret /secret\nFROM x\n",
    "hidden by a here-document": "FROM scratch\nCOPY <<X /x\nX\nCOPY --from=VICTIM /secret /secret\n",
    "hidden by an odd here-document": 'FROM scratch\nCOPY \\"<<X /x\nCOPY --from=VICTIM /secret /secret\nX\n',
}
REACHED_BY_THE_ENGINE = {
    "plain",
    "quotes",
    "escape",
    "continued",
    "own escape",
    "json",
    "argument",
    "mount",
    "quoted mount",
}


def engine_takes(tree: Path, tag: str) -> bool:
    """Whether the engine, given the text as it is, puts the secret into the image."""
    client = next(path for path in ("/usr/bin/docker", "docker") if shutil.which(path))
    env = {"DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [client, "build", "--quiet", "--tag", tag, str(tree)], capture_output=True, check=False, env=env
    )
    return done.returncode == 0 and has_secret(tag)


def has_secret(image: str) -> bool:
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True)
    return b"canary-of-the-victim" in saved.stdout


async def test_no_spelling_reaches_another_teams_image(bench: Any) -> None:
    builder = DockerfileBuilder(bench.client)
    tree = bench.tree({"Dockerfile": "FROM scratch\nCOPY secret /secret\n", "secret": "canary-of-the-victim"})
    victim = await builder.build(bench.request(tree), bench.log)
    reached = set()
    for name, text in SPELLINGS.items():
        tree = bench.tree({"Dockerfile": text.replace("VICTIM", victim.tag)}, busybox=True)
        if engine_takes(tree, victim.tag.partition(":")[0] + ":oracle"):
            reached.add(name)
        try:
            image = await builder.build(bench.request(tree), bench.log)
        except StepFailed:
            continue
        assert not has_secret(image.id), name
    subprocess.run(
        ["docker", "image", "rm", "--force", victim.tag.partition(":")[0] + ":oracle"], check=False, capture_output=True
    )
    assert reached >= REACHED_BY_THE_ENGINE, "the oracle itself does not take what it should"


@pytest.mark.parametrize(
    ("trigger", "error"),
    [
        ("ADD http://127.0.0.1:2375/info /x", failures.AddressForbidden),
        ("COPY --from=VICTIM /secret /secret", failures.BaseImageForbidden),
        ("RUN --mount=type=bind,from=VICTIM,target=/m cp /m/secret /", failures.BaseImageForbidden),
    ],
)
async def test_what_a_base_image_runs_by_itself_is_checked(
    bench: Any, trigger: str, error: type[StepFailed], tmp_path: Path
) -> None:
    (tmp_path / "empty.tar").write_bytes(bytes(10240))
    base = f"orca-test-{bench.id}:base"
    change = f"--change=ONBUILD {trigger.replace('VICTIM', base)}"
    subprocess.run(
        ["docker", "import", change, f"--change=LABEL orca.test={bench.id}", str(tmp_path / "empty.tar"), base],
        check=True,
        capture_output=True,
    )
    tree = bench.tree({"Dockerfile": f"FROM {base}\n"})
    with pytest.raises(error, match="ONBUILD"):
        await DockerfileBuilder(bench.client).build(bench.request(tree), bench.log)
    listed = subprocess.run(
        ["docker", "image", "ls", "--quiet", "orca-base"], check=True, capture_output=True, text=True
    )
    assert bench.inspect(base)["Id"].removeprefix("sha256:")[:12] not in listed.stdout
