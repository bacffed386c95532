"""Names of projects and services in addresses."""

import pytest

from orca.features.projects.rules import choose_slug


@pytest.mark.parametrize(
    ("name", "taken", "slug"),
    [
        ("My App", (), "my-app"),
        ("API Server", (), "api-server"),
        ("Café  Menü!", (), "cafe-menu"),
        ("ﬁle 2", (), "file-2"),
        ("日本語", (), "service"),
        ("---", (), "service"),
        ("app", ("app",), "app-2"),
        ("app", ("app", "app-2", "app-3"), "app-4"),
        ("x" * 100, (), "x" * 40),
        ("x" * 100, ("x" * 40,), "x" * 38 + "-2"),
        ("abcdefghij" * 3 + "abcdefg x yz", ("abcdefghij" * 3 + "abcdefg-x",), "abcdefghij" * 3 + "abcdefg-2"),
        ("; rm -rf / #", (), "rm-rf"),
    ],
)
def test_slugs_are_plain_and_free(name, taken, slug):
    chosen = choose_slug(name, taken, otherwise="service")
    assert chosen == slug or (chosen not in taken and len(chosen) <= 40)
    assert chosen == slug
