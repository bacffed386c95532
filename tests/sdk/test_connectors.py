"""The fake connector behaves like a real one, and the suite notices one that does not."""

from collections.abc import Callable

import pytest

from orca.errors import ProviderUnavailable
from orca.sdk.connectors import Command, CommandResult
from orca.sdk.testing.connectors import ConnectorConformance, FakeConnector, FakeConnectorProvider, answering


class TestFakeConnector(ConnectorConformance):
    @pytest.fixture
    async def connector(self):
        provider = FakeConnectorProvider()
        async with provider.open(provider.Config()) as connector:
            yield connector


async def test_programs_can_be_added_and_commands_are_remembered():
    connector = FakeConnector({"nft": answering("ok\n", exit_code=2, stderr="warning")})
    result = await connector.run(Command(("/usr/sbin/nft", "list"), deadline=1))
    assert (result.exit_code, result.text, result.stderr) == (2, "ok", b"warning")
    assert [command.argv for command in connector.commands] == [("/usr/sbin/nft", "list")]
    with pytest.raises(ProviderUnavailable):
        await connector.run(Command(("ufw",), deadline=1))


class ShellConnector(FakeConnector):
    """Joins arguments and splits them again, as `ssh host command` does."""

    async def run(self, command, on_output=None):
        return await super().run(Command(tuple(" ".join(command.argv).split()), command.deadline), on_output)


class ForgetfulConnector(FakeConnector):
    """Returns the beginning of the output instead of its end."""

    async def run(self, command, on_output=None):
        whole = await super().run(
            Command(command.argv, command.deadline, command.stdin, output_limit=1 << 30), on_output
        )
        return CommandResult(whole.exit_code, whole.stdout[: command.output_limit], b"")


@pytest.mark.parametrize(
    ("connector", "broken"),
    [
        (ShellConnector(), ConnectorConformance().test_arguments_arrive_as_they_are),
        (ForgetfulConnector(), ConnectorConformance().test_the_tail_is_kept_and_the_sink_gets_all),
        (FakeConnector({"false": answering()}), ConnectorConformance().test_exit_code_is_a_result),
        (FakeConnector({"cat": answering("surplus")}), ConnectorConformance().test_no_stdin_means_end_of_file),
    ],
)
async def test_the_suite_fails_a_broken_connector(connector: FakeConnector, broken: Callable):
    with pytest.raises(AssertionError):
        await broken(connector)
