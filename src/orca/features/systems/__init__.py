"""The machines that Orca manages, as administrators of the instance see them."""
