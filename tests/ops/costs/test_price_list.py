"""Tests of `ops costs --refresh` against a server that behaves like the Price List API."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from aws import prices
from ops.costs.price_list import QUERIES, query
from tests import servers
from tests.emulator.fixtures import Command

REGION = "eu-central-1"
PAGE = 2


def product(usagetype: str, tiers: list[tuple[str, str]], **attributes: str) -> dict[str, Any]:
    """A product in the shape of GetProducts, with its tiers in reverse order."""
    dimensions = {
        f"SKU.OFFER.{number}": {
            "beginRange": begin,
            "unit": "Hrs",
            "pricePerUnit": {"USD": usd},
        }
        for number, (begin, usd) in enumerate(reversed(tiers))
    }
    return {
        "product": {"attributes": {"regionCode": REGION, "usagetype": usagetype, **attributes}},
        "terms": {"OnDemand": {"SKU.OFFER": {"priceDimensions": dimensions}}},
    }


CATALOGUE = {
    "AmazonSageMaker": [
        product(
            "EUC1-Host:ml.c6i.large",
            [("0", "0.1200000000")],
            component="Hosting",
            instanceName="ml.c6i.large",
        ),
        product(
            "EUC1-Host:ml.c6i.large.spare",
            [("0", "9")],
            component="Hosting",
            instanceName="ml.c6i.large",
        ),
        product(
            "EUC1-Train:ml.g5.xlarge",
            [("0", "1.7600000000")],
            component="Training",
            instanceName="ml.g5.xlarge",
        ),
        product("EUC1-Train:VolumeUsage.gp2", [("0", "0.168")]),
        # with the free tier of the first two months
        product("EUC1-ServerlessInf:Mem-3GB", [("0", "0"), ("150000", "0.00007")]),
        product("EUC1-ServerlessInf:Mem-3GB-Provisioned", [("0", "9")]),
        product("EUC1-Hst:Data-Bytes-In", [("0", "0.016")], operation="Invoke-Endpoint"),
        product("EUC1-Hst:Data-Bytes-Out", [("0", "0.016")], operation="Invoke-Endpoint"),
    ],
    "AWSLambda": [
        product("EUC1-Request-ARM", [("0", "0.0000002")], group="AWS-Lambda-Requests-ARM"),
        product(
            "EUC1-Lambda-GB-Second-ARM",
            [("0", "0.0000133334"), ("7500000000", "0.0000120001")],
            group="AWS-Lambda-Duration-ARM",
        ),
        product(
            "EUC1-Lambda-Provisioned-GB-Second-ARM",
            [("0", "0.0000077778")],
            group="AWS-Lambda-Duration-Provisioned-ARM",
        ),
        product(
            "EUC1-Lambda-Provisioned-Concurrency-ARM",
            [("0", "0.0000033334")],
            group="AWS-Lambda-Provisioned-Concurrency-ARM",
        ),
    ],
    "AmazonApiGateway": [
        product("EUC1-ApiGatewayHttpRequest", [("0", "0.0000012")]),
        product("EUC1-ApiGatewayMinute", [("0", "0.0000003")]),
        product("EUC1-ApiGatewayRequest", [("0", "0.0000037"), ("333000000", "0.0000032")]),
    ],
    "AWSDataTransfer": [
        product(
            "EUC1-DataTransfer-Out-Bytes",
            [("0", "0.09"), ("10240", "0.085")],
            fromRegionCode=REGION,
            transferType="AWS Outbound",
        ),
    ],
    "AmazonCloudWatch": [
        product("EUC1-VendedLog-Bytes", [("0", "0.25")]),
        product("EUC1-DataProcessing-Bytes", [("0", "0.63")]),
    ],
    "AmazonS3": [
        product("EUC1-TimedStorage-ByteHrs", [("0", "0.0245")]),
    ],
    "AmazonECR": [
        product("EUC1-TimedStorage-ByteHrs", [("0", "0.1")]),
    ],
    "AmazonRekognition": [
        product("EUC1-Group1-ImagesProcessed", [("0", "9")]),
        product("EUC1-Group2-AsyncImagesProcessed", [("0", "0.00125"), ("1000000", "0.001")]),
    ],
    "AmazonEC2": [
        product(
            "EUC1-BoxUsage:g5.xlarge",
            [("0", "1.258")],
            operatingSystem="Linux",
            preInstalledSw="NA",
            tenancy="Shared",
            capacitystatus="Used",
        ),
    ],
}


@pytest.fixture
def requests(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The requests that a Price List API on loopback has received, one per page."""
    requests = list[dict[str, Any]]()

    def handle(request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        assert request.headers["X-Amz-Target"] == "AWSPriceListService.GetProducts"
        requests.append(body)
        products = [
            json.dumps(item)
            for item in CATALOGUE[body["ServiceCode"]]
            if all(
                item["product"]["attributes"].get(f["Field"]) == f["Value"] for f in body["Filters"]
            )
        ]
        start = int(body.get("NextToken", 0))
        page = {"FormatVersion": "aws_v1", "PriceList": products[start : start + PAGE]}
        if len(products) > start + PAGE:
            page["NextToken"] = str(start + PAGE)
        content = json.dumps(page).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/x-amz-json-1.1")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    with servers.web_server(handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", address)
        yield requests


def test_the_table_is_replaced(
    requests: list[dict[str, Any]], tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "prices.json"
    names = [*QUERIES, "hosting ml.c6i.large", "training ml.g5.xlarge", "ec2 g5.xlarge"]
    names += ["serverless 3 GB", "labels google cloud vision"]
    old = prices.read()
    prices.write(
        old.model_copy(update={"prices": {name: old.prices[name] for name in names}}), path
    )
    options = ["--prices", path, "--region", REGION, "--instance-types", "ml.c6i.large"]
    # The region differs, and it does not list one of the products: that price is omitted.
    outcome = command("ops", "costs", "--refresh", *options)
    assert outcome.code == 2
    assert f"Wrote 18 prices of {REGION} to {path}. Not listed: logs stored." in outcome.out
    assert 'no price for "logs stored"' in outcome.err
    table = prices.read(path)
    assert table.region == REGION
    assert table.as_of > "2026"
    assert table.source == "AWS Price List API; not listed, omitted: logs stored"
    assert table.usd("hosting ml.c6i.large", 1) == 0.12
    assert table.usd("training ml.g5.xlarge", 1) == 1.76
    assert table.usd("ec2 g5.xlarge", 1) == 1.258
    assert table.prices["api gateway requests"].tiers == ((0, 3.7e-06), (333000000, 3.2e-06))
    assert table.prices["data transfer out"].tiers == ((0, 0.09), (10240, 0.085))
    assert table.usd("logs ingested", 1) == 0.63
    assert table.prices["serverless 3 GB"].tiers == ((0, 0.00007),)
    assert table.usd("labels amazon rekognition", 2e6) == 1250 + 1000
    assert table.prices["labels amazon rekognition"].as_of == ""  # as of the table
    # Google's price does not depend on AWS's region, and keeps its own date and source.
    assert table.prices["labels google cloud vision"] == old.prices["labels google cloud vision"]
    assert any("NextToken" in request for request in requests)


def test_in_the_same_region_an_unlisted_price_is_kept(
    requests: list[dict[str, Any]], tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "prices.json"
    old = prices.read().model_copy(update={"region": REGION, "as_of": "2020-01-01"})
    prices.write(old, path)
    outcome = command("ops", "costs", "--refresh", "--prices", path, "--region", REGION, "--json")
    assert outcome.code == 0
    assert outcome.json["prices"]["source"].startswith("AWS Price List API; not listed, kept: ")
    table = prices.read(path)
    assert table.usd("logs stored", 1) == old.usd("logs stored", 1)
    assert table.prices["logs stored"].as_of == "2020-01-01"
    assert table.prices["logs stored"].source == old.source
    assert table.usd("hosting ml.c6i.large", 1) == 0.12
    assert set(table.prices) == set(old.prices)


def test_a_region_without_any_price(
    requests: list[dict[str, Any]], tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "prices.json"
    prices.write(prices.read(), path)
    before = path.read_text()
    outcome = command("ops", "costs", "--refresh", "--prices", path, "--region", "xx-1")
    assert outcome.code == 1
    assert "There is no region xx-1." in outcome.err
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("name", "usagetype", "matches"),
    [
        ("hosting ml.c6i.large", "USE1-Host:ml.c6i.large", True),
        ("hosting ml.c6i.large", "USE1-Host:ml.c6i.2xlarge", False),
        ("hosting ml.c6i.large", "USE1-AsyncInf:ml.c6i.large", False),
        ("training ml.g5.xlarge", "Train:ml.g5.xlarge", True),
        ("lambda duration arm64", "Lambda-GB-Second-ARM", True),
        ("lambda duration arm64", "USE2-Lambda-GB-Second", False),
        ("api gateway requests", "APN1-ApiGatewayRequest", True),
        ("logs ingested", "EU-DataProcessing-Bytes", True),
        ("serverless 3 GB", "USE1-ServerlessInf:Mem-3GB", True),
        ("serverless 3 GB", "USE1-ProvisionedConcurrency:Mem-3GB", False),
        ("labels amazon rekognition", "Group2-ImagesProcessed", True),
        ("labels amazon rekognition", "USE1-Group1-ImagesProcessed", False),
    ],
)
def test_a_price_matches_its_usagetype(name: str, usagetype: str, matches: bool) -> None:
    assert query(name).matches(usagetype) is matches
