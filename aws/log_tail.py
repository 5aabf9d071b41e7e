"""Print the streams of a CloudWatch log group as they grow."""

from botocore.exceptions import ClientError

from aws.account import Account, is_missing


class LogTail:
    """The streams of a log group that begin with `prefix`, printed as they grow."""

    def __init__(self, account: Account, group: str, prefix: str) -> None:
        self._logs = account.client("logs")
        self._group, self._prefix = group, prefix
        self._tokens: dict[str, str] = {}

    def print_new(self) -> None:
        """Print what came since the last call. A group that does not exist yet prints nothing."""
        try:
            streams = self._logs.describe_log_streams(
                logGroupName=self._group, logStreamNamePrefix=self._prefix
            )["logStreams"]
            several = len(streams) > 1
            for stream in streams:
                self._print_stream(stream["logStreamName"], several)
        except ClientError as error:
            if not is_missing(error):
                raise

    def _print_stream(self, stream: str, several: bool) -> None:
        # "NAME/algo-2-1700000000": the host tells which instance speaks
        host = stream.rpartition("/")[2].rsplit("-", 1)[0] + ": " if several else ""
        while True:
            token = self._tokens.get(stream)
            answer = self._logs.get_log_events(
                logGroupName=self._group,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            for event in answer["events"]:
                print(f"  {host}{event['message'].rstrip()}", flush=True)
            self._tokens[stream] = answer["nextForwardToken"]
            if not answer["events"] or answer["nextForwardToken"] == token:
                return
