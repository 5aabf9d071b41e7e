"""The table of prices, read anew from the AWS Price List API.

GetProducts answers products with attributes and terms; what a thing is called on the bill is its
`usagetype`, with a prefix for the region (USE1-, EUC1-, none for some of us-east-1).
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from aws.account import Account
from aws.errors import AwsError
from aws.prices import Price, Prices

API_REGION = "us-east-1"
"""The API lives in a few regions only, and tells the prices of all."""


@dataclass(frozen=True, slots=True)
class Query:
    """How one entry of the table is asked for: filters, and which usagetype is meant."""

    service: str
    usage: str
    """Pattern of the usagetype, behind the region's prefix."""
    filters: tuple[tuple[str, str], ...] = ()
    region_field: str = "regionCode"

    def matches(self, usagetype: str) -> bool:
        return re.fullmatch(rf"(?:[A-Z]{{2,4}}\d?-)?{self.usage}", usagetype) is not None


INVOKE = (("operation", "Invoke-Endpoint"),)
QUERIES = {
    "hosting data in": Query("AmazonSageMaker", "Hst:Data-Bytes-In", INVOKE),
    "hosting data out": Query("AmazonSageMaker", "Hst:Data-Bytes-Out", INVOKE),
    "training volume": Query("AmazonSageMaker", r"Train:VolumeUsage\.gp\d"),
    "lambda requests": Query("AWSLambda", ".*", (("group", "AWS-Lambda-Requests-ARM"),)),
    "lambda duration arm64": Query(
        "AWSLambda", "Lambda-GB-Second-ARM", (("group", "AWS-Lambda-Duration-ARM"),)
    ),
    "lambda duration arm64 on provisioned": Query(
        "AWSLambda", ".*", (("group", "AWS-Lambda-Duration-Provisioned-ARM"),)
    ),
    "lambda provisioned arm64": Query(
        "AWSLambda", ".*", (("group", "AWS-Lambda-Provisioned-Concurrency-ARM"),)
    ),
    "api gateway requests": Query("AmazonApiGateway", "ApiGatewayRequest"),
    "data transfer out": Query(
        "AWSDataTransfer",
        "DataTransfer-Out-Bytes",
        (("transferType", "AWS Outbound"),),
        region_field="fromRegionCode",
    ),
    "logs ingested": Query("AmazonCloudWatch", "DataProcessing-Bytes"),
    "logs stored": Query("AmazonCloudWatch", "TimedStorage-ByteHrs"),
    "s3 storage": Query("AmazonS3", "TimedStorage-ByteHrs"),
    "ecr storage": Query("AmazonECR", "TimedStorage-ByteHrs"),
}
COMPONENTS = {"hosting": ("Hosting", "Host"), "training": ("Training", "Train")}


def refresh(account: Account, old: Prices, today: date) -> tuple[Prices, list[str]]:
    """The entries of `old` at today's prices in the account's region, and what was not found.

    An entry that the API does not know keeps its price where the region is the same, and is left
    out where it is another: a price of elsewhere is worse than none.
    Raises `AwsError` where nothing at all was found.
    """
    client = account.client("pricing", API_REGION)
    table, missing = dict[str, Price](), list[str]()
    for name, price in old.table.items():
        found = _ask(client, account.region, query(name))
        if found is not None:
            table[name] = Price(price.unit, found)
            continue
        missing.append(name)
        if account.region == old.region:
            table[name] = price
    if len(missing) == len(old.table):
        raise AwsError(f"the Price List API knows none of these prices in {account.region}")
    source = "AWS Price List API"
    if missing:
        kept = "kept from before" if account.region == old.region else "left out"
        source += f"; {kept}, because it does not list them so: {', '.join(missing)}"
    return Prices(account.region, today.isoformat(), source, table), missing


def query(name: str) -> Query:
    """How the entry `name` of the table is asked for."""
    if name in QUERIES:
        return QUERIES[name]
    kind, _, instance_type = name.partition(" ")
    component, usage = COMPONENTS[kind]
    filters = (("component", component), ("instanceName", instance_type))
    return Query("AmazonSageMaker", f"{usage}:{re.escape(instance_type)}", filters)


def _ask(client: Any, region: str, query: Query) -> tuple[tuple[float, float], ...] | None:
    """The tiers of what `query` means, or None where nothing does."""
    filters = [(query.region_field, region), *query.filters]
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=query.service,
        Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters],
    )
    for page in pages:
        for text in page["PriceList"]:
            product = json.loads(text)
            if query.matches(product["product"]["attributes"].get("usagetype", "")):
                tiers = sorted(_tiers(product))
                if tiers and tiers[0][0] == 0:
                    return tuple(tiers)
    return None


def _tiers(product: dict[str, Any]) -> Iterator[tuple[float, float]]:
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            usd = dimension["pricePerUnit"].get("USD")
            if usd is not None:
                yield float(dimension.get("beginRange") or 0), float(usd)
