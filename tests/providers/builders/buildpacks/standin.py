"""A small builder image of the tests' own, which keeps the contract of the lifecycle, and a run image for it.

No registry is reached here, so the real lifecycle is not tried. What of its contract is kept: where everything lies,
that detector and builder refuse root and an unknown platform API, that buildpacks see variables from /platform/env
only, exit codes, group.toml, layers and their types, metadata.toml as the lifecycle writes it, and a launcher that
goes by the name it was called with.
"""

from typing import Any

DETECTOR = """\
#!/bin/sh
set -eu
[ "$(id -u)" != 0 ] || { echo "refusing to run as root"; exit 3; }
[ "$CNB_PLATFORM_API" = 0.12 ] || { echo "platform API $CNB_PLATFORM_API is not supported"; exit 11; }
[ -d /platform/env ] && [ -f /cnb/order.toml ] || exit 2
grep -q "arch = \\"a" /layers/analyzed.toml || exit 2
grep -A1 "target.distro" /layers/analyzed.toml | grep -q "name = \\"standin" || exit 2
cd /workspace
if env -i PATH=/bin /cnb/buildpacks/test_app/1.0/bin/detect /platform /layers/plan.toml; then
  printf '[[group]]\\n  id = "test/app"\\n  version = "1.0"\\n' > /layers/group.toml
else
  echo "fail: test/app@1.0"; exit 20
fi
"""
BUILDER = """\
#!/bin/sh
set -eu
[ "$(id -u)" != 0 ] || { echo "refusing to run as root"; exit 3; }
[ -f /layers/group.toml ] || exit 50
cd /workspace
set -- /cnb/buildpacks/test_app/1.0/bin/build /layers/test_app /platform /layers/plan.toml
for file in /platform/env/*; do [ -f "$file" ] && set -- "${file##*/}=$(cat "$file")" "$@"; done
mkdir -p /layers/test_app /layers/config
env -i PATH=/bin "$@" || exit 51
{
  printf 'buildpack-default-process-type = "web"\\n\\n[[buildpacks]]\\n  id = "test/app"\\n'
  cat /layers/test_app/launch.toml
} > /layers/config/metadata.toml
"""
LAUNCHER = """\
#!/bin/sh
set -eu
name="${0##*/}"
[ "$CNB_PLATFORM_API" = 0.12 ] || exit 11
grep -q "type = \\"$name\\"" "$CNB_LAYERS_DIR/config/metadata.toml" || exit 82
for layer in "$CNB_LAYERS_DIR"/*/*/; do [ -d "$layer/bin" ] && PATH="$layer/bin:$PATH"; done
cd "$CNB_APP_DIR"
exec sh "./$name.sh" "$@"
"""
DETECT = "#!/bin/sh\n[ -f web.sh ] || [ -f other.sh ]\n"
BUILD = """\
#!/bin/sh
set -eu
layers=$1
mkdir -p "$layers/runtime/bin" "$layers/compiler" "$layers/modules/deep"
printf '#!/bin/sh\\necho "runtime for ${1:-nobody}"\\n' > "$layers/runtime/bin/hello"
chmod +x "$layers/runtime/bin/hello"
printf '[types]\\n  launch = true\\n  build = false\\n  cache = true\\n' > "$layers/runtime.toml"
echo large > "$layers/compiler/gcc"
printf '[types]\\n  launch = false\\n  build = true\\n' > "$layers/compiler.toml"
echo x > "$layers/modules/deep/file"; chmod -R a-w "$layers/modules/deep"
printf '[types]\\n  cache = true\\n' > "$layers/modules.toml"
: "${NPM_TOKEN:=}"; : > "$layers/launch.toml"
for file in web.sh other.sh; do
  [ -f "$file" ] && printf '[[processes]]\\n  type = "%s"\\n  command = ["sh"]\\n' "${file%.sh}" >> "$layers/launch.toml"
done
echo "BP_FLAVOUR is ${BP_FLAVOUR:-unset}, PATH is $PATH, the token has ${#NPM_TOKEN} characters" > made-by-buildpack
[ ! -f build.sh ] || sh build.sh
"""


def make_images(bench: Any, run: Any, base: str = "") -> tuple[str, str]:
    """Tags of a builder image and of the run image that belongs to it."""
    base = base or bench.shell_image()
    files = {
        "cnb/lifecycle/detector": DETECTOR, "cnb/lifecycle/builder": BUILDER, "cnb/lifecycle/launcher": LAUNCHER,
        "cnb/order.toml": '[[order]]\n[[order.group]]\nid = "test/app"\nversion = "1.0"\n',
        "cnb/buildpacks/test_app/1.0/bin/detect": DETECT, "cnb/buildpacks/test_app/1.0/bin/build": BUILD,
    }  # fmt: skip
    tree = bench.tree({**files, "os-release": 'ID=standin\nVERSION_ID="1.0"\n'})
    for name in files:
        (tree / name).chmod(0o755)
    (tree / "Dockerfile").write_text(
        f"FROM {base}\nCOPY cnb /cnb\nCOPY os-release /etc/os-release\nENV CNB_USER_ID=1000 CNB_GROUP_ID=1000\nUSER 1000:1000\n"
    )
    builder, runner = f"orca-test-{bench.id}:builder", f"orca-test-{bench.id}:run"
    run(tree, builder)
    runtime = bench.tree({"Dockerfile": f"FROM {base}\nENV PATH=/bin\nUSER 1001:1000\n"})
    run(runtime, runner)
    return builder, runner
