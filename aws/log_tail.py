"""Print the streams of a CloudWatch log group as they grow."""

from aws.account import Account, or_none


class LogTail:
    """The streams of a log group whose names start with `prefix`."""

    def __init__(self, account: Account, group: str, prefix: str) -> None:
        self._logs = account.client("logs")
        self._group, self._prefix = group, prefix
        self._tokens: dict[str, str] = {}

    def print_new(self) -> None:
        """Print the lines since the last call; nothing if the group does not exist yet."""
        response = or_none(
            lambda: self._logs.describe_log_streams(
                logGroupName=self._group, logStreamNamePrefix=self._prefix
            )
        )
        streams = response["logStreams"] if response else []
        for stream in streams:
            self._print_stream(stream["logStreamName"], len(streams) > 1)

    def _print_stream(self, stream: str, with_host: bool) -> None:
        # SageMaker names streams JOB/HOST-TIMESTAMP.
        host = stream.rpartition("/")[2].rsplit("-", 1)[0] + ": " if with_host else ""
        while True:
            token = self._tokens.get(stream)
            page = self._logs.get_log_events(
                logGroupName=self._group,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            for event in page["events"]:
                print(f"  {host}{event['message'].rstrip()}", flush=True)
            self._tokens[stream] = page["nextForwardToken"]
            if not page["events"] or page["nextForwardToken"] == token:
                return
