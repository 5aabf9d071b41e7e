"""Current prices from the AWS Price List API. Prices of other companies are kept as they are.

GetProducts returns products with attributes and terms. On the bill a product is called by its
`usagetype`, with a prefix for the region: USE1-, EUC1-, or none for some of us-east-1.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from aws.account import Account
from aws.errors import AwsError
from aws.prices import Price, Prices, Tiers

API_REGION = "us-east-1"
"""The API exists in a few regions only, and returns the prices of all."""


class Query(NamedTuple):
    """The filters of GetProducts for one price, and the usagetype to take from the result."""

    service: str
    usage: str
    """Pattern of the usagetype after the region's prefix."""
    filters: Mapping[str, str] = {}
    region_field: str = "regionCode"

    def matches(self, usagetype: str) -> bool:
        return re.fullmatch(rf"(?:[A-Z]{{2,4}}\d?-)?{self.usage}", usagetype) is not None


def _invoke(usage: str) -> Query:
    return Query("AmazonSageMaker", usage, {"operation": "Invoke-Endpoint"})


def _lambda(group: str, usage: str = ".*") -> Query:
    return Query("AWSLambda", usage, {"group": f"AWS-Lambda-{group}-ARM"})


QUERIES = {
    "hosting data in": _invoke("Hst:Data-Bytes-In"),
    "hosting data out": _invoke("Hst:Data-Bytes-Out"),
    "training volume": Query("AmazonSageMaker", r"Train:VolumeUsage\.gp\d"),
    "lambda requests": _lambda("Requests"),
    "lambda duration arm64": _lambda("Duration", "Lambda-GB-Second-ARM"),
    "lambda duration arm64 on provisioned": _lambda("Duration-Provisioned"),
    "lambda provisioned arm64": _lambda("Provisioned-Concurrency"),
    "api gateway requests": Query("AmazonApiGateway", "ApiGatewayRequest"),
    "data transfer out": Query(
        "AWSDataTransfer",
        "DataTransfer-Out-Bytes",
        {"transferType": "AWS Outbound"},
        region_field="fromRegionCode",
    ),
    "logs ingested": Query("AmazonCloudWatch", "DataProcessing-Bytes"),
    "logs stored": Query("AmazonCloudWatch", "TimedStorage-ByteHrs"),
    "s3 storage": Query("AmazonS3", "TimedStorage-ByteHrs"),
    "ecr storage": Query("AmazonECR", "TimedStorage-ByteHrs"),
    # DetectLabels is in group 2: https://aws.amazon.com/rekognition/pricing/
    "labels amazon rekognition": Query("AmazonRekognition", "Group2-(?:Async)?ImagesProcessed"),
}
OTHER_COMPANIES = frozenset({"labels google cloud vision"})
"""Prices that the API does not have. They do not depend on AWS's region."""
LINUX_ON_DEMAND = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "tenancy": "Shared",
    "capacitystatus": "Used",
}
COMPONENTS = {"hosting": ("Hosting", "Host"), "training": ("Training", "Train")}


def refresh(account: Account, old: Prices, today: date) -> tuple[Prices, list[str]]:
    """Fetch the prices of `old` in the account's region. Return them and the names not listed.

    A price that is not listed is kept with its date if `old` is of the same region, and omitted
    otherwise. Raise AwsError if none is listed.
    """
    client = account.client("pricing", API_REGION)
    tiers = {
        name: _tiers(client, account.region, query(name))
        for name in old.prices
        if name not in OTHER_COMPANIES
    }
    missing = [name for name in tiers if not tiers[name]]
    if len(missing) == len(tiers):
        raise AwsError(f"The Price List API has none of these prices for {account.region}.")
    prices = {
        name: Price(unit=price.unit, tiers=tiers[name]) if tiers.get(name) else old.dated(name)
        for name, price in old.prices.items()
        if name in OTHER_COMPANIES or tiers[name] or account.region == old.region
    }
    source = "AWS Price List API"
    if missing:
        kept = "kept" if account.region == old.region else "omitted"
        source += f"; not listed, {kept}: {', '.join(missing)}"
    table = Prices(region=account.region, as_of=today.isoformat(), source=source, prices=prices)
    return table, missing


def query(name: str) -> Query:
    """Return the query for the price `name`."""
    if name in QUERIES:
        return QUERIES[name]
    kind, _, instance_type = name.partition(" ")
    if kind == "serverless":
        return Query("AmazonSageMaker", f"ServerlessInf:Mem-{instance_type.replace(' ', '')}")
    if kind == "ec2":
        return Query("AmazonEC2", f"BoxUsage:{re.escape(instance_type)}", LINUX_ON_DEMAND)
    component, usage = COMPONENTS[kind]
    filters = {"component": component, "instanceName": instance_type}
    return Query("AmazonSageMaker", f"{usage}:{re.escape(instance_type)}", filters)


def _tiers(client: Any, region: str, query: Query) -> Tiers:
    """The tiers of the first product that matches, without a free one; empty if none does."""
    filters = {query.region_field: region, **query.filters}
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=query.service,
        Filters=[
            {"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()
        ],
    )
    for product in map(json.loads, pages.search("PriceList")):
        if query.matches(product["product"]["attributes"].get("usagetype", "")):
            tiers = sorted(
                (float(dimension.get("beginRange") or 0), float(dimension["pricePerUnit"]["USD"]))
                for term in product["terms"].get("OnDemand", {}).values()
                for dimension in term["priceDimensions"].values()
                if "USD" in dimension["pricePerUnit"]
            )
            if tiers and tiers[0][0] == 0:
                if len(tiers) > 1 and not tiers[0][1]:
                    tiers[:2] = [(0.0, tiers[1][1])]
                return tuple(tiers)
    return ()
