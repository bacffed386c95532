"""Names of projects and services in addresses."""

import pytest

from orca.errors import BadInput, Conflict
from orca.features.projects.rules import Naming, Proposal, number_slug, propose_slug, spell_slug


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("My App", "my-app"), ("Café  Menü!", "cafe-menu"), ("ﬁle 2", "file-2"), ("; rm -rf / #", "rm-rf"),
        ("Straße", "strasse"), ("витрина", "vitrina"), ("Компьютер", "kompyuter"), ("Ελλάδα", "ellada"),
        ("متجر", "mtjr"), ("さくら", "sakura"), ("가게", "gage"), ("Shop 🚀", "shop"), ("½ Liter", "1-2-liter"),
        ("日本語", ""), ("shop 商店", ""), ("---", ""), ("🚀", ""), ("x" * 100, "x" * 40),
    ],
)  # fmt: skip
def test_slugs_are_spelled_in_plain_letters_or_not_at_all(name: str, slug: str) -> None:
    assert spell_slug(name) == slug


@pytest.mark.parametrize(
    ("base", "taken", "slug"),
    [
        ("app", (), "app"), ("app", ("app",), "app-2"), ("app", ("app", "app-2", "app-3"), "app-4"),
        ("x" * 40, ("x" * 40,), "x" * 38 + "-2"), ("abcdefghij" * 3 + "abcdefg-x", ("abcdefghij" * 3 + "abcdefg-x",), "abcdefghij" * 3 + "abcdefg-2"),
    ],
)  # fmt: skip
def test_free_slugs_are_numbered_within_their_length(base: str, taken: tuple[str, ...], slug: str) -> None:
    assert number_slug(base, taken) == slug


@pytest.mark.parametrize(
    ("name", "slug", "error", "field", "said"),
    [
        ("SHOP", None, Conflict, "name", "the slug store"),
        ("Store!", None, Conflict, "slug", "store-2 is free"), ("x", "store", Conflict, "slug", "store-2 is free"),
        ("商店", None, BadInput, "slug", "type one"),
    ],
)  # fmt: skip
def test_a_name_or_slug_is_refused_when_taken_or_unspelled(
    name: str, slug: str | None, error: type[BadInput | Conflict], field: str, said: str
) -> None:
    with pytest.raises(error) as raised:
        Naming("project", {"store": "Shop"}).choose_slug(name, slug)
    assert said in raised.value.details["fields"][field]


def test_a_form_is_offered_a_slug_or_told_why_there_is_none() -> None:
    naming = Naming("project", {"store": "Shop"})
    assert propose_slug(naming, " Витрина ") == Proposal("vitrina")
    assert propose_slug(naming, "Store") == Proposal("store-2", "store is taken.")
    assert "with the slug store" in propose_slug(naming, "shop").note
    assert propose_slug(naming, "商店").note.startswith("Type a slug")
    assert propose_slug(naming, "") == Proposal()
    assert naming.choose_slug("商店", "market") == "market"
    assert naming.choose_slug("Shop", "other") == "other"  # told apart on purpose
