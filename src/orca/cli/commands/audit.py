"""`orc audit`: whether what was written down is still what happened."""

from orca.cli.command import Command, Invocation
from orca.cli.failures import FAILED, OK
from orca.cli.output import Screen, Styled


def verify(call: Invocation) -> int:
    """The server walks every event and compares them with its signed checkpoints. Fails unless all is as it was."""
    found = call.client.get("/events/verify")

    def draw(screen: Screen) -> None:
        if found["is_intact"]:
            screen.line(
                Styled("intact", "green"), f": {found['events']} events, {found['checkpoints']} signed checkpoints"
            )
        else:
            screen.line(Styled("broken", "red"), f": {found['problem']}")

    call.output.answer(found, draw)
    return OK if found["is_intact"] else FAILED


COMMANDS = {
    "verify": Command(
        verify, "orc audit verify", scope="server",
        details="Checkpoints are signed every ten minutes and every 1,000 events, and kept outside the database.",
    ),
}  # fmt: skip
