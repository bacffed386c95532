"""Steps shared by the inspection of a source and its build."""
