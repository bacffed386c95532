"""Where a secret belongs, as the text its ciphertext is bound to."""

Owner = tuple[str, str]
"""What a secret belongs to: the kind of row and its id, for example `("variable", "0197…")`."""


def place(owner: Owner, name: str) -> str:
    """The place that is authenticated with the ciphertext, so that two of them can never be swapped."""
    owner_type, owner_id = owner
    return f"secrets:{owner_type}:{owner_id}:{name}"
