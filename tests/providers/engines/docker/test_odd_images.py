"""Images whose authors wrote what Docker's own tools never write: the engine takes and passes on whatever it says."""

import hashlib
import io
import json
import subprocess
import tarfile

import pytest

pytestmark = pytest.mark.docker


def packed(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()


@pytest.fixture
def load_image():
    """Have the engine load an image with such a configuration, and take it away in the end."""
    loaded = []

    def load(**facts) -> str:
        layer = packed({})
        differs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": differs, "history": [], **facts}
        ).encode()
        manifest = json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": ["layer.tar"]}]).encode()
        image = packed({"config.json": config, "layer.tar": layer, "manifest.json": manifest})
        subprocess.run(["docker", "load"], input=image, check=True, capture_output=True, timeout=60)
        loaded.append(f"sha256:{hashlib.sha256(config).hexdigest()}")
        return loaded[-1]

    yield load
    for image in loaded:
        subprocess.run(["docker", "image", "rm", "--force", image], check=False, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    "facts",
    [
        {
            "config": {
                "ExposedPorts": {"evil/tcp": {}, "80-90/tcp": {}, "99999/tcp": {}, "-1": {}, "": {}, "8080/tcp": {}}
            }
        },
        {"config": {"ExposedPorts": {"8080": {}}, "Env": ["PORT", "PORT=x", "", "="]}},
        {"config": {"ExposedPorts": {"8080/tcp": {}}}, "created": "0000-01-01T00:00:00Z"},
        {
            "config": {"ExposedPorts": {"8080/tcp": {}}, "Healthcheck": {"Test": []}, "Entrypoint": []},
            "architecture": "",
        },
    ],
)
async def test_an_odd_image_keeps_no_other_from_being_listed(host, instance, make_image, load_image, facts) -> None:
    labels = {"orca.instance": instance, "orca.service": "a"}
    odd = load_image(**facts | {"config": {**facts["config"], "Labels": labels}})
    plain = make_image(f"LABEL orca.instance={instance}", "LABEL orca.service=a")
    found = {each.id: each for each in await host.list_images({"orca.service": "a"})}
    assert set(found) == {odd, plain}
    assert found[odd].ports == (8080,)
    assert await host.remove_image(odd)
