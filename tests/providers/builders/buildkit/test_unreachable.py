"""Failures of the network inside a step are told as such, with the server: words of tools, as they print them."""

import pytest

from orca.providers.builders.buildkit.failures import FailedBuild, explain_step
from orca.providers.builders.buildkit.progress import Step
from orca.providers.builders.buildkit.unreachable import Unreachable, find_unreachable

PIP = "WARNING: Retrying (Retry(total={}, connect=None, read=None, redirect=None, status=None)) after connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/flask/"
CASES: dict[str, tuple[str, str, bool]] = {
    "npm name": ("npm error request to https://registry.npmjs.org/express failed, reason: getaddrinfo EAI_AGAIN registry.npmjs.org", "registry.npmjs.org", True),
    "npm not found": ("npm ERR! network request to https://npm.corp.example/x failed, reason: getaddrinfo ENOTFOUND npm.corp.example", "npm.corp.example", True),
    "npm code": ("npm error code ETIMEDOUT\nnpm error errno ETIMEDOUT\nnpm error network request to https://registry.npmjs.org/x failed, reason: \n", "registry.npmjs.org", False),
    "npm reset": ("npm error code ECONNRESET\nnpm error network aborted", "", False),
    "node timeout": ("npm error network request failed, reason: connect ETIMEDOUT 104.16.0.1:443", "104.16.0.1", False),
    "pip name": (PIP.format(0) + "\nERROR: Could not find a version that satisfies the requirement flask (from versions: none)\nERROR: No matching distribution found for flask", "", True),
    "pip timeout": ("pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(host='files.pythonhosted.org', port=443): Read timed out.", "files.pythonhosted.org", False),
    "uv": ("error: Failed to fetch: `https://pypi.org/simple/flask/`\n  Caused by: error sending request for url (https://pypi.org/simple/flask/)\n  Caused by: dns error: failed to lookup address information", "pypi.org", True),
    "apt": ("Err:1 http://deb.debian.org/debian trixie InRelease\n  Temporary failure resolving 'deb.debian.org'\nE: Unable to locate package curl", "deb.debian.org", True),
    "apt connection": ("W: Failed to fetch http://deb.debian.org/x  Could not connect to deb.debian.org:80 (1.2.3.4), connection timed out", "deb.debian.org", False),
    "go name": ('go: github.com/a/b@v1.0.0: Get "https://proxy.golang.org/github.com/a/b/@v/v1.0.0.mod": dial tcp: lookup proxy.golang.org on 127.0.0.11:53: no such host', "proxy.golang.org", True),
    "go timeout": ('Get "https://proxy.golang.org/x": dial tcp 142.250.0.1:443: i/o timeout', "142.250.0.1", False),
    "cargo": ("error: failed to get `serde` as a dependency\n\nCaused by:\n  [6] Could not resolve hostname (Could not resolve host: index.crates.io)", "index.crates.io", True),
    "cargo old": ("  [7] Couldn't connect to server (Failed to connect to static.crates.io port 443 after 1 ms)", "static.crates.io", False),
    "bundler": ("Could not reach host rubygems.org. Check your network connection and try again.", "rubygems.org", False),
    "gem": ("ERROR:  SocketError: Failed to open TCP connection to rubygems.org:443 (getaddrinfo: Temporary failure in name resolution)", "rubygems.org", True),
    "composer": ("curl error 6 while downloading https://repo.packagist.org/packages.json: Could not resolve host: repo.packagist.org", "repo.packagist.org", True),
    "curl name": ("curl: (6) Could not resolve host: example.org", "example.org", True),
    "curl refused": ("curl: (7) Failed to connect to example.org port 443 after 3 ms: Couldn't connect to server", "example.org", False),
    "curl timeout": ("curl: (28) SSL connection timeout", "", False),
    "wget": ("wget: unable to resolve host address \u2018example.org\u2019", "example.org", True),
    "git": ("fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com", "github.com", True),
    "maven": ("[ERROR] Could not transfer artifact from central: repo.maven.apache.org: Unknown host repo.maven.apache.org", "repo.maven.apache.org", True),
    "nuget": ("error NU1301:   Name or service not known (api.nuget.org:443)", "api.nuget.org", True),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_step_that_reaches_no_server_is_explained_by_the_network(name: str) -> None:
    output, host, is_unknown = CASES[name]
    lines = ["some step", *output.split("\n")]
    assert find_unreachable(lines) == Unreachable(host, is_unknown)
    step = Step("[build 3/5] RUN install", "failed", exit_code=1)
    step.last_lines.extend(lines)
    error = explain_step(step, FailedBuild())
    assert f"this machine could not reach {host or 'a server that it needs'}" in error.message
    assert ("DNS" if is_unknown else "firewall") in error.hint
    assert error.code == "build-failed"
    assert error.details["last_lines"] == lines


@pytest.mark.parametrize(
    "output",
    [
        "src/main.rs:3: error: expected `;`",
        PIP.format(4) + "\nerror: command 'gcc' failed with exit code 1",
        "npm warn fetch attempt 1 failed with ETIMEDOUT\nnpm error code 1",
        "Error: connect ECONNREFUSED 127.0.0.1:5432",
        "dial tcp 127.0.0.1:6379: connect: connection refused",
        "",
    ],
)
def test_other_failures_are_not_blamed_on_the_network(output: str) -> None:
    assert find_unreachable(output.split("\n")) is None
    step = Step("[build 3/5] RUN make", "failed", exit_code=2)
    step.last_lines.extend(output.split("\n"))
    assert explain_step(step, FailedBuild()).hint == "Read the lines above it in the log."


@pytest.mark.parametrize("code", [126, 127, 137])
def test_exit_codes_that_explain_themselves_come_first(code: int) -> None:
    step = Step("[build 3/5] RUN make", "failed", exit_code=code)
    step.last_lines.append("curl: (6) Could not resolve host: example.org")
    assert "reach" not in explain_step(step, FailedBuild()).message
