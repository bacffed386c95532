"""Writes of uploads: one function per verb, session first."""

from orca.features.sources.actions.uploads import keep_upload, look_folder, upload_folder

__all__ = [
    "keep_upload",
    "look_folder",
    "upload_folder",
]
