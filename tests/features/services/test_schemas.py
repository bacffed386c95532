"""What bodies may hold: the seed's JSON as it stands, and nothing that could mean something to a shell or a parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orca.features.projects.schemas import ProjectFields
from orca.features.services.schemas.services import ServiceFields
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig, HealthCheck, Port
from orca.features.services.schemas.variables import NamedVariable
from orca.features.services.schemas.volumes import VolumeFields, VolumeMount

SEED = {
    "name": "API Server",
    "slug": "api-server",
    "type": "webapp",
    "build_source": {"type": "git", "repository": "https://github.com/user/repo", "branch": "main"},
    "ports": [{"name": "http", "port": 8080, "public": True}],
}
META = [";x", "&x", "|x", "<x", ">x", "`x`", "$(x)", "${x}", "'x'", '"x"', "x\\y", "x\ny", "x\ry", "x\x00y", "-x", "--exec=x",
        "../x", "x y", "\u202ex"]  # fmt: skip


def with_source(**source):
    return {"name": "x", "source": {"type": "git", "repository": "https://example.org/a/b.git", **source}}


@pytest.mark.parametrize("slug", [{}, {"slug": "api-server"}])
def test_the_seeds_service_is_accepted_as_it_stands(slug):
    fields = ServiceFields.model_validate({**{key: value for key, value in SEED.items() if key != "slug"}, **slug})
    assert fields.kind == "web"
    assert fields.source.branch == "main"
    assert fields.public_ports() == [8080]


def test_kind_and_source_have_the_names_of_the_house_too():
    fields = ServiceFields.model_validate({"name": "x", "kind": "static", "source": {"type": "directory"}})
    assert (fields.kind, fields.source.type) == ("static", "directory")


@pytest.mark.parametrize("meta", META)
@pytest.mark.parametrize("field", ["commit", "credential_id"])
def test_source_fields_refuse_what_means_something_elsewhere(field, meta):
    with pytest.raises(ValidationError):
        ServiceFields.model_validate(with_source(**{field: meta}))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "--exec=x",
        "a b",
        "a\nb",
        "a\x00",
        "a..b",
        "a:b",
        "x^",
        "~1",
        "a*",
        "a?",
        "[x",
        "a\\b",
        "x@{1}",
        "\x7f",
        "/a",
        "a/",
    ],
)
@pytest.mark.parametrize("field", ["branch", "tag"])
def test_branches_and_tags_are_what_git_takes(field, name):
    with pytest.raises(ValidationError):
        ServiceFields.model_validate(with_source(**{field: name}))


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "-x", "--exec=x", "a\nb", "a\x00", "a\\b", "\u202ex"])
def test_subdirectories_stay_inside(path):
    with pytest.raises(ValidationError):
        ServiceFields.model_validate(with_source(subdirectory=path))
    assert ServiceFields.model_validate(with_source(subdirectory="./apps//web/ \n")).source.subdirectory == "apps/web"


@pytest.mark.parametrize(
    "repository",
    ["ext::sh -c touch% /tmp/x", "fd::17", "file:///etc", "/etc/passwd", "../x", "--upload-pack=touch x", "-oProxyCommand=x",
     "http://example.org/x", "https://user:password@example.org/x", "https://example.org/x;y", "https://example.org/$(x)",
     "git://example.org/x", "https://example.org/a\nb", "ssh://-oProxyCommand=x/y", ""],
)  # fmt: skip
def test_repositories_come_by_https_or_ssh_only(repository):
    with pytest.raises(ValidationError):
        ServiceFields.model_validate(with_source(repository=repository))


@pytest.mark.parametrize(
    "image", ["nginx; x", "--privileged", "a b", "../x", "nginx:$(x)", "nginx@sha256:12", "NGINX", ""]
)
def test_images_follow_dockers_grammar(image):
    with pytest.raises(ValidationError):
        ServiceFields.model_validate({"name": "x", "source": {"type": "image", "image": image}})


@pytest.mark.parametrize("extra", ["team_id", "id", "created_at", "owner", "is_admin", "skip_checks", "desired_state"])
def test_unknown_fields_are_refused_everywhere(extra):
    for model, body in (
        (ServiceFields, SEED),
        (ProjectFields, {"name": "x"}),
        (VolumeFields, {"name": "x", "path": "/x"}),
    ):
        model.model_validate(body)
        with pytest.raises(ValidationError):
            model.model_validate({**body, extra: "x"})


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00b", "\u202eabc", "a\u200bb", "x" * 101, "a\x1b[2J"])
def test_names_without_hidden_characters(name):
    with pytest.raises(ValidationError):
        ProjectFields(name=name)


def test_names_are_normalised_but_free():
    assert ProjectFields(name="  Cafe\u0301   a\u0300 la carte; <b>$(x)</b> ").name == "Café à la carte; <b>$(x)</b>"


@pytest.mark.parametrize("slug", ["", "A", "-a", "a-", "a_b", "a.b", "ä", "x" * 41, "a\n"])
def test_slugs_are_parts_of_hostnames(slug):
    with pytest.raises(ValidationError):
        ProjectFields(name="x", slug=slug)


@pytest.mark.parametrize("key", ["", "1A", "-A", "A B", "A=B", "A\n", "Ä", "$(x)", "A" * 129, "A\x00"])
def test_variable_keys(key):
    with pytest.raises(ValidationError):
        NamedVariable(key=key, value="x")


@given(st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=200))
def test_variable_values_are_kept_byte_for_byte(value):
    assert NamedVariable(key="A", value=value).value == value


def test_variable_values_have_a_limit_in_bytes_and_no_nul():
    assert NamedVariable(key="A", value="x" * 65536).value == "x" * 65536
    for value in ("x" * 65537, "ä" * 32769, "a\x00b"):
        with pytest.raises(ValidationError) as caught:
            NamedVariable(key="A", value=value)
        assert value not in str(caught.value.errors(include_input=False))


@pytest.mark.parametrize("path", ["health", "/a b", "/a;b", "/$(x)", "/a'b", "/a\nb", "/a`b`", "/a&b", "/a|b", "/<x>"])
def test_health_paths(path):
    with pytest.raises(ValidationError):
        HealthCheck(path=path)
    assert HealthCheck(path="/up/~now?full=1,2:3@x%20").path == "/up/~now?full=1,2:3@x%20"


@pytest.mark.parametrize("method", ["POST", "get", "GET\r\nX: y", "CONNECT"])
def test_health_methods(method):
    with pytest.raises(ValidationError):
        HealthCheck(method=method)


@pytest.mark.parametrize("meta", META)
def test_volume_names_follow_dockers_grammar(meta):
    with pytest.raises(ValidationError):
        VolumeMount(name=meta, path="/data")


@pytest.mark.parametrize(
    "build",
    [{"target": "--privileged"}, {"target": "a b"}, {"dockerfile": "../Dockerfile"}, {"dockerfile": "/etc/passwd"}, {"dockerfile": ""}, {"dockerfile": "."},
     {"arguments": {"A-B": "x"}}, {"arguments": {"A": "x\x00"}}, {"options": {"--network": "host"}}, {"builder": "Sh"}, {"builder": "sh;"}, {"network": "host"}],
)  # fmt: skip
def test_build_options_outside_the_schema_are_refused(build):
    with pytest.raises(ValidationError):
        BuildOptions.model_validate(build)


def test_port_is_announced_and_never_overrides():
    config = FrozenConfig(kind="web", ports=[Port(port=3000, public=True), Port(name="admin", port=3001)])
    assert config.announce_port().variables == {"PORT": "3000"}
    assert config.model_copy(update={"variables": {"PORT": "1"}}).announce_port().variables == {"PORT": "1"}
    assert config.model_copy(update={"secret_keys": ["PORT"]}).announce_port().variables == {}
    assert FrozenConfig(kind="web").announce_port().variables == {}


def test_a_detected_port_is_taken_where_none_was_named():
    assert FrozenConfig(kind="web").listen_on(5000).variables == {"PORT": "5000"}
    assert FrozenConfig(kind="web").listen_on(5000).public_ports() == [5000]
    assert FrozenConfig(kind="worker").listen_on(5000).ports == []
    named = FrozenConfig(kind="web", ports=[Port(port=3000, public=True)])
    assert named.listen_on(5000).public_ports() == [3000]
