"""`costs --refresh` against a server that answers as the Price List API does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from aws import prices
from ops.costs.pricelist import QUERIES, query
from tests import servers
from training import __main__ as training

REGION = "eu-central-1"
PAGE = 2


def product(usagetype: str, tiers: list[tuple[str, str]], **attributes: str) -> dict[str, Any]:
    """A product in the shape of GetProducts, with its tiers in no particular order."""
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
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The requests that a Price List API on loopback was asked, page by page."""
    requests = list[dict[str, Any]]()

    def handle(request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        assert request.headers["X-Amz-Target"] == "AWSPriceListService.GetProducts"
        requests.append(body)
        found = [
            json.dumps(item)
            for item in CATALOGUE[body["ServiceCode"]]
            if all(
                item["product"]["attributes"].get(f["Field"]) == f["Value"] for f in body["Filters"]
            )
        ]
        start = int(body.get("NextToken", 0))
        answer = {"FormatVersion": "aws_v1", "PriceList": found[start : start + PAGE]}
        if len(found) > start + PAGE:
            answer["NextToken"] = str(start + PAGE)
        content = json.dumps(answer).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/x-amz-json-1.1")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    with servers.web_server(handle) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        yield requests


def test_the_table_is_written_anew(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "prices.json"
    old = prices.read()
    wanted = [*QUERIES, "hosting ml.c6i.large", "training ml.g5.xlarge"]
    prices.write(
        prices.Prices(old.region, old.as_of, old.source, {n: old.table[n] for n in wanted}), table
    )
    options = ["--prices", str(table), "--region", REGION, "--instance-types", "ml.c6i.large"]
    # Another region, and one of the products is not listed there: its price is not made up.
    assert training.main(["costs", "--refresh", *options]) == 2
    printed = capsys.readouterr()
    assert f"12 prices of {REGION} in {table}, 1 not found: logs stored" in printed.out
    assert "no price of 'logs stored'" in printed.err
    found = prices.read(table)
    assert found.region == REGION
    assert found.as_of > "2026"
    assert found.source == (
        "AWS Price List API; left out, because it does not list them so: logs stored"
    )
    assert found.usd("hosting ml.c6i.large", 1) == 0.12
    assert found.usd("training ml.g5.xlarge", 1) == 1.76
    assert found.table["api gateway requests"].tiers == ((0, 3.7e-06), (333000000, 3.2e-06))
    assert found.table["data transfer out"].tiers == ((0, 0.09), (10240, 0.085))
    assert found.usd("logs ingested", 1) == 0.63
    assert any("NextToken" in request for request in asked)


def test_in_the_same_region_what_is_not_listed_keeps_its_price(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "prices.json"
    old = prices.read()
    prices.write(prices.Prices(REGION, "2020-01-01", "by hand", old.table), table)
    options = ["--prices", str(table), "--region", REGION, "--json"]
    assert training.main(["costs", "--refresh", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["prices"]["source"].startswith("AWS Price List API; kept from before, ")
    found = prices.read(table)
    assert found.usd("logs stored", 1) == old.usd("logs stored", 1)
    assert found.usd("hosting ml.c6i.large", 1) == 0.12
    assert set(found.table) == set(old.table)


def test_a_region_without_any_price(
    asked: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "prices.json"
    prices.write(prices.read(), table)
    before = table.read_text()
    assert training.main(["costs", "--refresh", "--prices", str(table), "--region", "xx-1"]) == 1
    assert "knows none of these prices in xx-1" in capsys.readouterr().err
    assert table.read_text() == before


@pytest.mark.parametrize(
    ("name", "usagetype", "meant"),
    [
        ("hosting ml.c6i.large", "USE1-Host:ml.c6i.large", True),
        ("hosting ml.c6i.large", "USE1-Host:ml.c6i.2xlarge", False),
        ("hosting ml.c6i.large", "USE1-AsyncInf:ml.c6i.large", False),
        ("training ml.g5.xlarge", "Train:ml.g5.xlarge", True),
        ("lambda duration arm64", "Lambda-GB-Second-ARM", True),
        ("lambda duration arm64", "USE2-Lambda-GB-Second", False),
        ("api gateway requests", "APN1-ApiGatewayRequest", True),
        ("logs ingested", "EU-DataProcessing-Bytes", True),
    ],
)
def test_what_it_is_called_on_the_bill(name: str, usagetype: str, meant: bool) -> None:
    assert query(name).matches(usagetype) is meant
