"""The processes of Orca: what `orc serve`, `orc worker`, `orc doctor` and others become with `exec`."""
