"""What moto's IAM lacks."""

from typing import Any

from moto.core.responses import EmptyResult
from moto.iam.responses import IamResponse


def add_client_id_to_open_id_connect_provider(self: Any) -> EmptyResult:
    """moto has no AddClientIDToOpenIDConnectProvider."""
    arn = self._get_param("OpenIDConnectProviderArn")
    provider = self.backend.get_open_id_connect_provider(arn)
    provider.client_id_list.append(self._get_param("ClientID"))
    return EmptyResult()


REPLACEMENTS: list[tuple[Any, str, Any]] = [
    (
        IamResponse,
        "add_client_id_to_open_id_connect_provider",
        add_client_id_to_open_id_connect_provider,
    )
]
