import pytest

from orca.features.terminals.rules import EXPLANATIONS, Moment, find_end


@pytest.mark.parametrize(
    ("moment", "keeps", "reason"),
    [
        (Moment(10, 10, None), True, None),
        (Moment(10, 10, 59), True, None),
        (Moment(90, 10, 60), True, "disconnected"),
        (Moment(10, 10, 0), False, "disconnected"),
        (Moment(40 * 60, 30 * 60, None), True, "idle"),
        (Moment(12 * 3600, 1, None), True, "too-long"),
    ],
)
def test_find_end(moment: Moment, keeps: bool, reason: str | None) -> None:
    assert find_end(moment, keeps=keeps) == reason
    assert reason is None or EXPLANATIONS[reason]
