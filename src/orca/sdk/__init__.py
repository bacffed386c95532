"""The only package that a plugin may import: one module per provider family, and the conformance suites."""
