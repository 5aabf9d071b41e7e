"""Current prices from the AWS Price List API.

GetProducts returns products with attributes and terms. On the bill a product is called by its
`usagetype`, with a prefix for the region: USE1-, EUC1-, or none for some of us-east-1.
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
"""The API exists in a few regions only, and returns the prices of all."""


@dataclass(frozen=True, slots=True)
class Query:
    """The filters of GetProducts for one price, and the usagetype to take from the result."""

    service: str
    usage: str
    """Pattern of the usagetype after the region's prefix."""
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
LINUX_ON_DEMAND = (
    ("operatingSystem", "Linux"), ("preInstalledSw", "NA"), ("tenancy", "Shared"),
    ("capacitystatus", "Used"),
)  # fmt: skip
COMPONENTS = {"hosting": ("Hosting", "Host"), "training": ("Training", "Train")}


def refresh(account: Account, old: Prices, today: date) -> tuple[Prices, list[str]]:
    """Fetch the prices of `old` in the account's region. Return them and the names not listed.

    A price that is not listed is kept if `old` is of the same region, and omitted otherwise.
    Raise AwsError if none is listed.
    """
    client = account.client("pricing", API_REGION)
    same_region = account.region == old.region
    prices, missing = dict[str, Price](), list[str]()
    for name, price in old.prices.items():
        tiers = _tiers(client, account.region, query(name))
        if tiers:
            prices[name] = Price(unit=price.unit, tiers=tiers)
            continue
        missing.append(name)
        if same_region:
            prices[name] = price
    if len(missing) == len(old.prices):
        raise AwsError(f"The Price List API has none of these prices for {account.region}.")
    source = "AWS Price List API"
    if missing:
        source += f"; not listed, {'kept' if same_region else 'omitted'}: {', '.join(missing)}"
    table = Prices(region=account.region, as_of=today.isoformat(), source=source, prices=prices)
    return table, missing


def query(name: str) -> Query:
    """Return the query for the price `name`."""
    if name in QUERIES:
        return QUERIES[name]
    kind, _, instance_type = name.partition(" ")
    if kind == "ec2":
        return Query("AmazonEC2", f"BoxUsage:{re.escape(instance_type)}", LINUX_ON_DEMAND)
    component, usage = COMPONENTS[kind]
    filters = (("component", component), ("instanceName", instance_type))
    return Query("AmazonSageMaker", f"{usage}:{re.escape(instance_type)}", filters)


def _tiers(client: Any, region: str, query: Query) -> tuple[tuple[float, float], ...]:
    """The tiers of the first product that matches; empty if none does."""
    filters = [(query.region_field, region), *query.filters]
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=query.service,
        Filters=[{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters],
    )
    for page in pages:
        for text in page["PriceList"]:
            product = json.loads(text)
            if query.matches(product["product"]["attributes"].get("usagetype", "")):
                tiers = tuple(sorted(_dimensions(product)))
                if tiers and tiers[0][0] == 0:
                    return tiers
    return ()


def _dimensions(product: dict[str, Any]) -> Iterator[tuple[float, float]]:
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            usd = dimension["pricePerUnit"].get("USD")
            if usd is not None:
                yield float(dimension.get("beginRange") or 0), float(usd)
