"""Who may report a push, what the hosts' bodies say, and which pushes deploy."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from random import Random
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.triggers.hosts import (
    GONE,
    NEW,
    OLD,
    PROVIDERS,
    Delivery,
    as_form,
    deliver,
    push_body,
    sign_as_gitlab_19,
)

from orca.errors import BadInput
from orca.features.triggers.pushes import (
    RefChange,
    decide,
    explain_mismatch,
    is_signed,
    name_delivery,
    name_event,
    new_hook_secret,
    parse_body,
    read_changes,
)

NOW = datetime.now(UTC)


def accepted(provider: str, secret: str, sent: Delivery, at: datetime = NOW) -> bool:
    return is_signed(provider, secret, sent.values, sent.body, at)


@pytest.fixture(params=PROVIDERS)
def provider(request):
    return request.param


@pytest.fixture
def secret(provider):
    return new_hook_secret(provider)


def test_each_hosts_own_signature_is_accepted(provider, secret):
    assert accepted(provider, secret, deliver(provider, secret, push_body(provider)))


def test_another_secret_body_or_none_is_refused(provider, secret):
    sent = deliver(provider, secret, push_body(provider))
    assert not accepted(provider, new_hook_secret(provider), sent)
    assert not accepted(provider, "", sent)
    assert not accepted(provider, "", deliver(provider, "", push_body(provider)))
    if provider not in {"gitlab", "azure", "gerrit"}:  # a password signs nothing
        assert not accepted(provider, secret, Delivery(sent.body + b" ", sent.headers))
    assert not accepted(provider, secret, Delivery(sent.body, {"Content-Type": "application/json"}))


SIGNATURES = {
    "github": "X-Hub-Signature-256", "gitlab": "X-Gitlab-Token", "gitea": "X-Gitea-Signature", "bitbucket": "X-Hub-Signature",
    "generic": "X-Orca-Signature-256", "azure": "Authorization", "gerrit": "Authorization", "gogs": "X-Gogs-Signature",
}  # fmt: skip


@pytest.mark.parametrize("value", ["", "sha256=", "sha256", "v1,", "ÿ", "sha256=" + "0" * 64, "0" * 64, "null", " "])
def test_empty_and_odd_signatures_are_refused(provider, secret, value):
    sent = deliver(provider, secret, push_body(provider))
    sent.headers[SIGNATURES[provider]] = value
    assert not accepted(provider, secret, sent)


def test_a_signature_that_comes_twice_is_refused(provider, secret):
    sent = deliver(provider, secret, push_body(provider))
    sent.headers[SIGNATURES[provider].upper()] = sent.headers[SIGNATURES[provider]]
    assert not accepted(provider, secret, sent)


@pytest.mark.parametrize("provider", ["github", "bitbucket", "generic"])
def test_sha1_is_refused(provider):
    secret = new_hook_secret(provider)
    sent = deliver(provider, secret, push_body(provider))
    weak = "sha1=" + hmac.new(secret.encode(), sent.body, hashlib.sha1).hexdigest()
    sent.headers = {"X-Hub-Signature": weak, SIGNATURES[provider]: weak}
    assert not accepted(provider, secret, sent)


def test_one_hosts_signature_is_no_others(provider, secret):
    for other in PROVIDERS:
        if other != provider and {other, provider} != {"azure", "gerrit"}:
            assert not accepted(provider, secret, deliver(other, secret, push_body(other)))


def test_forgejos_signature_alone_and_a_wrong_one_beside_a_right_one():
    secret = new_hook_secret("gitea")
    sent = deliver("gitea", secret, push_body("gitea"))
    del sent.headers["X-Gitea-Signature"]
    assert accepted("gitea", secret, sent)
    sent.headers["X-Gitea-Signature"] = "0" * 64
    assert not accepted("gitea", secret, sent)


def test_gitlabs_signature_is_checked_with_its_time():
    secret = new_hook_secret("gitlab")
    sent = sign_as_gitlab_19(deliver("gitlab", secret, push_body("gitlab")), secret, at=NOW.timestamp())
    assert accepted("gitlab", secret, sent)
    assert not accepted("gitlab", secret, Delivery(sent.body + b" ", sent.headers))
    assert not accepted("gitlab", secret, Delivery(sent.body, {**sent.headers, "webhook-id": "d-2"}))
    assert not accepted("gitlab", secret, Delivery(sent.body, {**sent.headers, "webhook-timestamp": "1" * 13}))
    assert not accepted("gitlab", secret, Delivery(sent.body, {**sent.headers, "X-Gitlab-Token": "wrong"}))
    assert accepted("gitlab", secret, Delivery(sent.body, {**sent.headers, "X-Gitlab-Token": secret}))
    rotated = {**sent.headers, "webhook-signature": "v1,AAAA " + sent.headers["webhook-signature"]}
    assert accepted("gitlab", secret, Delivery(sent.body, rotated))
    old = sign_as_gitlab_19(deliver("gitlab", secret, push_body("gitlab")), secret, at=NOW.timestamp() - 301)
    assert not accepted("gitlab", secret, old)


def test_gitlabs_secret_is_a_signing_token_of_its_form():
    secret = new_hook_secret("gitlab")
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert len({new_hook_secret("github") for _ in range(100)}) == 100


def test_a_push_is_read_from_each_hosts_body(provider):
    payload = push_body(provider, message="Fix\n\nIt was broken", files=("a.py", "b/c.py"))
    [change] = read_changes(provider, name_event(provider, deliver(provider, "s", payload).values, payload), payload)
    files = None if provider in {"bitbucket", "azure", "gerrit"} else ("a.py", "b/c.py")
    message = "" if provider == "gerrit" else "Fix\n\nIt was broken"
    assert (change.kind, change.name, change.commit, change.message) == ("branch", "main", NEW, message)
    assert change.files == files


def test_tags_deletions_and_branches_with_slashes(provider):
    event = name_event(provider, deliver(provider, "s", {}).values, push_body(provider))
    tag = read_changes(provider, event, push_body(provider, ref="refs/tags/v1.0"))
    assert [(each.kind, each.name) for each in tag] == [("tag", "v1.0")]
    if provider != "generic":
        gone = read_changes(provider, event, push_body(provider, branch="old", commit=GONE))
        assert [(each.name, each.is_deletion) for each in gone] == [("old", True)]
    nested = read_changes(provider, event, push_body(provider, branch="feature/x"))
    assert nested[0].name == "feature/x"


def test_bitbucket_data_center():
    payload = {"eventKey": "repo:refs_changed", "changes": [
        {"ref": {"id": "refs/heads/old", "type": "BRANCH"}, "fromHash": NEW, "toHash": GONE, "type": "DELETE"},
        {"ref": {"id": "refs/heads/main", "type": "BRANCH"}, "fromHash": GONE, "toHash": NEW, "type": "UPDATE"},
    ]}  # fmt: skip
    changes = read_changes("bitbucket", "repo:refs_changed", payload)
    assert [(each.name, each.is_deletion, each.commit) for each in changes] == [("old", True, ""), ("main", False, NEW)]
    assert decide(changes, "repo:refs_changed", branch="main", watch_paths=()).is_accepted


@pytest.mark.parametrize("event", ["ping", "issues", "", "pull_request", "Merge Request Hook", "diagnostics:ping"])
def test_other_events_deploy_nothing(event):
    assert read_changes("github", event, push_body("github")) == []
    assert not decide([], event, branch="main", watch_paths=()).is_accepted


def put_ref(provider, payload, ref):
    if provider == "bitbucket":
        payload["push"]["changes"][0]["new"]["name"] = ref.removeprefix("refs/heads/") if isinstance(ref, str) else ref
    elif provider == "azure":
        payload["resource"]["refUpdates"][0]["name"] = ref
    elif provider == "gerrit":
        payload["refUpdate"]["refName"] = ref
    else:
        payload["ref"] = ref
    return payload


@pytest.mark.parametrize("ref", ["refs/heads/", "", None, 7, ["refs/heads/main"]])
def test_a_push_without_the_name_of_a_ref_is_refused(provider, ref):
    with pytest.raises(BadInput):
        read_changes(provider, "push", put_ref(provider, push_body(provider), ref))


BRANCHES = [
    "müller/ümlaut", "feat/🚀", "fix(scope)", "o'brien", 'say"hi"', "a&b", "x;y", "{x}", "$x", "`x`", "a|b", "<x>", "!x", "#1", "%41", "--exec=x",
    "a\u202eb", "日本語", "👩\u200d💻", "x" * 255, "/".join(["y" * 200] * 4), "z" * 4000, "a b", "a..b", "\n", "\x00", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", BRANCHES, ids=range(len(BRANCHES)))
def test_no_name_of_another_branch_is_refused_and_a_pattern_takes_it(provider, name):
    changes = read_changes(provider, "push", put_ref(provider, push_body(provider), f"refs/heads/{name}"))
    left = decide(changes, "push", branch="main", watch_paths=())
    assert (left.is_accepted, left.reason.endswith("is not main")) == (False, True)
    assert left.reason.isprintable() or set(name) & set("\u202e\u200d\n")
    assert decide(changes, "push", branch="**", watch_paths=()).is_accepted
    if "!" not in name:
        assert decide(changes, "push", branch=changes[0].name.replace("[", "[[]"), watch_paths=()).is_accepted


@pytest.mark.parametrize(
    "ref", ["refs/notes/commits", "refs/pull/1/head", "refs/merge-requests/1/head", "refs/changes/01/1/1", "refs/x"]
)
@pytest.mark.parametrize("commit", [NEW, "nonsense"])
def test_refs_that_are_no_branches_are_left_alone(provider, ref, commit):
    if provider == "bitbucket":  # has branches and tags only
        return
    payload = put_ref(provider, push_body(provider, commit=commit), ref)
    decision = decide(read_changes(provider, "push", payload), "push", branch="**", watch_paths=())
    assert (decision.is_accepted, decision.reason) == (False, f"{ref}: only branches are deployed")


@pytest.mark.parametrize("commit", ["", "abc", "g" * 40, "A" * 40, "a" * 41, "--upload-pack=x", None, 5])
def test_commits_are_whole_ids(provider, commit):
    payload = push_body(provider)
    if provider == "bitbucket":
        payload["push"]["changes"][0]["new"]["target"]["hash"] = commit
    elif provider == "azure":
        payload["resource"]["refUpdates"][0]["newObjectId"] = commit
    elif provider == "gerrit":
        payload["refUpdate"]["newRev"] = commit
    else:
        payload[{"generic": "commit"}.get(provider, "after")] = commit
        payload.pop("checkout_sha", None)
    with pytest.raises(BadInput):
        read_changes(provider, "push", payload)


SKIPPED = (
    "[skip ci]", "Docs [ci skip]", "[no ci] x", "[skip actions]", "[Actions Skip]", "***NO_CI***", "[skip azurepipelines]", "[ci-skip]",
    "Docs\n\nskip-checks: true", "Docs\n\n\nskip-checks:true\n", "Docs\r\n\r\nSigned-off-by: a\r\nskip-checks: true\r\n",
    "x" * 3000 + "[skip ci]",
)  # fmt: skip
NOT_SKIPPED = (
    "skip ci", "[skip the tests]", "Document skip-checks: true", "skip-checks: true\n\nThe end", "[skip]", "NO_CI", "[ci skipped]",
    "Docs\n\nskip-checks: false",
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "branch", "paths", "accepted", "reason"),
    [
        (RefChange("branch", "main", NEW), "main", (), True, "aaaaaaaaaaaa on main will be deployed"),
        (RefChange("branch", "dev", NEW), "main", (), False, "branch dev is not main"),
        (RefChange("branch", "release/2", NEW), "release/*", (), True, "will be deployed"),
        (RefChange("branch", "main", NEW), "*", (), True, "will be deployed"),
        (RefChange("tag", "main", NEW), "main", (), False, "only branches are deployed"),
        (RefChange("branch", "main", "", is_deletion=True), "main", (), False, "was deleted"),
        (RefChange("branch", "main", NEW, "Docs [skip orca]"), "main", (), False, "asks to skip"),
        (RefChange("branch", "main", NEW, "[ORCA SKIP] x"), "main", (), False, "asks to skip"),
        *((RefChange("branch", "main", NEW, message), "main", (), False, "asks to skip") for message in SKIPPED),
        *((RefChange("branch", "main", NEW, message), "main", (), True, "will be deployed") for message in NOT_SKIPPED),
        (RefChange("branch", "main", NEW, files=("web/a.js",)), "main", ("web/**",), True, "will be deployed"),
        (
            RefChange("branch", "main", NEW, files=("docs/a.md",)),
            "main",
            ("web/**",),
            False,
            "no changed file is watched",
        ),
        (RefChange("branch", "main", NEW, files=("web/a.md",)), "main", ("web/**", "!*.md"), False, "no changed file"),
        (RefChange("branch", "main", NEW, files=None), "main", ("web/**",), True, "will be deployed"),
        (RefChange("branch", "main", NEW, files=()), "main", ("web/**",), False, "no changed file"),
    ],
)
def test_which_pushes_deploy_and_why_not(change, branch, paths, accepted, reason):
    decision = decide([change], "push", branch=branch, watch_paths=paths)
    assert decision.is_accepted is accepted
    assert reason in decision.reason


@pytest.mark.parametrize(
    "changes",
    [{"forced": True}, {"before": GONE}, {"commits": []}, {"total_commits_count": 40}, {"total_commits": 2},
     {"commits": [{"id": NEW, "added": ["a"]}]}, {"commits": "x"},
     {"commits": [{"id": NEW, "added": ["a"], "modified": [], "removed": []}] * 2048}],
)  # fmt: skip
def test_where_the_host_leaves_files_out_the_push_counts(changes):
    assert read_changes("github", "push", {**push_body("github"), **changes})[0].files is None


@pytest.mark.parametrize(
    ("provider", "asks"),
    [("github", False), ("generic", False), *((each, True) for each in ("gitlab", "gitea", "gogs"))],
)
def test_only_a_host_that_says_whether_it_was_forced_is_believed_about_unwatched_files(provider, asks):
    changes = read_changes(provider, "push", push_body(provider, files=("docs/a.md",)))
    decision = decide(changes, "push", branch="main", watch_paths=("web/",))
    assert (decision.is_accepted, decision.must_look) == (False, asks)
    assert decide(changes, "push", branch="main", watch_paths=("docs/",)).is_accepted
    assert not decide(changes, "push", branch="dev", watch_paths=("web/",)).must_look


def test_the_commit_message_is_the_heads_and_without_terminal_tricks():
    payload = push_body("gitlab", message="\x1b]52;c;x\x07Fix\x1b[31m")
    payload["commits"].insert(0, {"id": "b" * 40, "message": "[skip orca]", "added": [], "modified": [], "removed": []})
    payload["total_commits_count"] = 2
    assert read_changes("gitlab", "Push Hook", payload)[0].message == "Fix"


def test_deliveries_are_named_by_the_host_or_by_their_body(provider):
    sent = deliver(provider, "s", push_body(provider), delivery="72d3162e-cc78")
    if provider == "azure":
        assert name_delivery(provider, sent.values, "digest", json.loads(sent.body)["id"]) == "72d3162e-cc78"
        return
    if provider == "gerrit":
        assert name_delivery(provider, sent.values, "digest", "x") != name_delivery(
            provider, sent.values, "digest", "y"
        )
        return
    assert name_delivery(provider, sent.values, "digest") == "72d3162e-cc78"
    for header in list(sent.headers):
        if sent.headers[header] == "72d3162e-cc78":
            sent.headers[header] = "x" * 129
    assert name_delivery(provider, sent.values, "digest") == "sha256:digest"


def test_a_form_field_holds_the_same_json():
    payload = push_body("github")
    body = urlencode({"payload": json.dumps(payload)}).encode()
    assert parse_body(body, "application/x-www-form-urlencoded; charset=utf-8") == payload


@pytest.mark.parametrize("provider", ["gitea", "gogs"])
def test_a_form_of_gitea_is_signed_over_its_json(provider):
    secret = new_hook_secret(provider)
    payload = push_body(provider, message="ü & %41 + 100%\n" + "%" * 70_000)
    sent = as_form(deliver(provider, secret, payload))
    assert accepted(provider, secret, sent)
    assert parse_body(sent.body, "application/x-www-form-urlencoded") == payload
    assert not accepted(provider, secret, Delivery(sent.body.replace(b"refs", b"Refs"), sent.headers))
    assert not accepted("github", secret, as_form(deliver("github", secret, payload)))


def test_bodies_grow_in_linear_time_and_memory():
    """Unsigned: 25 MB of escapes take about as long per byte as 2.5 MB."""
    seconds = []
    for size in (2_500_000, 25_000_000):
        body = b"payload=" + b"%%41" * (size // 4)
        begun = time.perf_counter()
        assert not accepted(
            "gitea",
            "s",
            Delivery(body, {"X-Gitea-Signature": "x", "Content-Type": "application/x-www-form-urlencoded"}),
        )
        seconds.append(time.perf_counter() - begun)
    assert seconds[1] < 40 * max(seconds[0], 0.01)


def test_data_center_has_the_message_beside_the_change():
    change = {"ref": {"id": "refs/heads/main"}, "fromHash": OLD, "toHash": NEW, "type": "UPDATE"}
    payload = {"changes": [change], "toCommit": {"id": NEW, "message": "Docs [skip ci]"}}
    [read] = read_changes("bitbucket", "repo:refs_changed", payload)
    assert (read.message, read.before) == ("Docs [skip ci]", OLD)


def test_gerrit_may_have_the_secret_in_its_address_and_others_not():
    body = json.dumps(push_body("gerrit")).encode()
    plain = Delivery(body, {"Content-Type": "application/json"})
    assert is_signed("gerrit", "s3cret", plain.values, body, NOW, "s3cret")
    assert not is_signed("gerrit", "s3cret", plain.values, body, NOW, "wrong")
    assert not is_signed("gerrit", "s3cret", plain.values, body, NOW, "")
    assert not is_signed("gerrit", "s3cret", deliver("gerrit", "wrong", {}).values, body, NOW, "s3cret")
    for provider in {*PROVIDERS} - {"gerrit"}:
        assert not is_signed(provider, "s3cret", plain.values, body, NOW, "s3cret")
    merged = {
        "type": "change-merged",
        "newRev": NEW,
        "change": {"branch": "main", "project": "p", "commitMessage": "Fix"},
    }
    [change] = read_changes("gerrit", "change-merged", merged)
    assert (change.name, change.commit, change.message) == ("main", NEW, "Fix")


def test_a_generic_push_without_its_keys_is_told_which():
    for payload, names in (({}, "branch and commit"), ({"branch": "main"}, "commit"), ({"commit": NEW}, "branch")):
        with pytest.raises(BadInput, match=f"no text under {names}$"):
            read_changes("generic", "push", payload)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 50_000, b"1" * 10_000, b"NaN", b'{"a":\xff}',
             b"payload=%7B"],
)  # fmt: skip
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", ""])
def test_bodies_that_are_no_json_object(body, content_type):
    with pytest.raises(BadInput):
        parse_body(body, content_type)


KEYS = [
    "ref",
    "after",
    "before",
    "commits",
    "head_commit",
    "push",
    "changes",
    "new",
    "old",
    "target",
    "hash",
    "type",
    "name",
    "message",
    "added",
    "modified",
    "removed",
    "commit",
    "paths",
    "id",
    "toHash",
    "checkout_sha",
    "total_commits",
    "total_commits_count",
    "forced",
    "deleted",
    "object_kind",
    "branch",
]
LEAVES = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\x00",
    "\ud800",
    "é",
    NEW,
    GONE,
    "refs/heads/main",
    "branch",
    "push",
    "src/a.py",
)
EVENTS = ("push", "Push Hook", "System Hook", "repo:push", "repo:refs_changed", "ping", "")


def make_json(random: Random, depth: int = 0):
    shape = random.random() - depth * 0.1
    if depth == 0 or shape > 0.55:
        return {random.choice(KEYS): make_json(random, depth + 1) for _ in range(random.randint(0, 6))}
    if shape > 0.35:
        return [make_json(random, depth + 1) for _ in range(random.randint(0, 3))]
    return random.choice(LEAVES)


def make_body(random: Random) -> bytes:
    """Half of them broken JSON, nearly right pushes, or noise."""
    kind = random.randrange(4)
    if kind == 0:
        return random.randbytes(random.randint(0, 200))
    payload = make_json(random) if kind == 1 else {**push_body(random.choice(PROVIDERS)), **make_json(random)}
    body = bytearray(json.dumps(payload).encode())
    if kind == 3:
        for _ in range(random.randint(1, 4)):
            body[random.randrange(len(body))] = random.randrange(256)
    return bytes(body)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**64), provider=st.sampled_from(PROVIDERS))
def test_ten_thousand_bodies_give_a_decision_or_bad_input(seed, provider):
    random, secret = Random(seed), "secret"
    for _ in range(100):
        sent = deliver(provider, secret, make_body(random))
        assert accepted(provider, secret, sent)
        event = random.choice(EVENTS)
        try:
            payload = parse_body(sent.body, "application/json")
            decision = decide(read_changes(provider, event, payload), event, branch="main", watch_paths=("src/**",))
        except BadInput as error:
            assert error.message  # noqa: PT017 - either outcome is right
        else:
            assert decision.reason
            assert not decision.is_accepted or len(decision.change.commit) == 40


@pytest.mark.parametrize(
    ("provider", "headers", "reason"),
    [
        ("github", {"X-Hub-Signature": "sha256=x"}, "it has no X-Hub-Signature-256 header, by which GitHub signs; it has X-Hub-Signature"),
        ("bitbucket", {}, "it has no X-Hub-Signature header, by which Bitbucket signs"),
        ("gitea", {"X-Gitea-Signature": "x"}, "its X-Gitea-Signature header does not fit the hook's secret"),
        ("gitlab", {}, "it has no X-Gitlab-Token or Webhook-Signature header, by which GitLab signs"),
        ("gitlab", {"X-Gitlab-Token": "x"}, "its X-Gitlab-Token header does not fit the hook's secret"),
        ("gitlab", {"Webhook-Signature": "v1,x", "Webhook-Timestamp": "1"}, "the time of its signature is more than five minutes off: check the clocks"),
        ("generic", {"X-Gitlab-Token": "x"}, "it has no X-Orca-Signature-256 header, by which a generic hook signs; it has X-Gitlab-Token"),
    ],
)  # fmt: skip
def test_a_mismatch_is_explained_by_its_headers(provider, headers, reason):
    assert explain_mismatch(provider, Delivery(b"", headers).values, datetime.now(UTC)) == reason
