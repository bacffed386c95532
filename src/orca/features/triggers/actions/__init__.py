"""Writes of push hooks and of deliveries: one function per verb, session first."""

from orca.features.triggers.actions.hooks import create_hook, delete_hook, rotate_hook, update_hook
from orca.features.triggers.actions.pushes import find_push_origin, note_refusal, receive_push, replay_push

__all__ = [
    "create_hook",
    "delete_hook",
    "find_push_origin",
    "note_refusal",
    "receive_push",
    "replay_push",
    "rotate_hook",
    "update_hook",
]
