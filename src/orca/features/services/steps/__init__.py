"""Steps that looking at a source and building it have in common."""
