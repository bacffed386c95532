"""Frames of server-sent events: foreign text inside of one cannot begin another."""

from orca.kit.sse import format_event


def test_text_cannot_end_its_event_or_name_another() -> None:
    # A browser ends a line at CR, LF and CRLF alike. What is shown of a Dockerfile or of a failure may hold any.
    frame = format_event("state", "<code># a\r\rid: 9\r\nretry: 99999\revent: end\rdata: \n</code>", event_id="3")
    head, *rest = frame.replace("\r", "\n").removesuffix("\n\n").split("\n")
    assert (head, rest[0]) == ("id: 3", "event: state")
    assert all(line.startswith("data: ") for line in rest[1:])
    assert "\r" not in frame


def test_what_is_no_text_is_json_on_one_line() -> None:
    assert format_event("log", {"text": "a\r\rb\n"}) == 'event: log\ndata: {"text":"a\\r\\rb\\n"}\n\n'
