"""A Sentinel Hub that misbehaves: one clear line, no plausible number, no hang, no secret."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.sources import sentinelhub
from tests.standins.sentinel_hub import (
    CATALOG,
    ID,
    PROCESS,
    SECRET,
    TOKEN,
    SentinelHub,
    error,
)
from tests.standins.server import Answer, Seen

WHERE = GeoBox((40, 50), Affine(10, 0, 700_000, 0, -10, 3_150_000), "EPSG:32643")
JUNE = Period.parse("2024-06")
PATIENCE = sentinelhub.Patience(attempts=3, wait_s=0.01, timeout_s=30, longest_s=1)
PAGE = b"<html><body>502 Bad Gateway</body></html>"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SentinelHub]:
    monkeypatch.setenv("SH_CLIENT_ID", ID)
    monkeypatch.setenv("SH_CLIENT_SECRET", SECRET)
    days = tuple((f"S2_{day}", f"2024-06-{day:02}T05:36:00Z") for day in range(1, 6))
    with SentinelHub(lambda band, x, y: np.full(x.shape, 0.1), products=days) as standin:
        yield standin


def run(service: SentinelHub, folder: Path, patience=PATIENCE, **changes):
    source = service.source(**changes)
    plan = sentinelhub.plan(
        source, "sentinel-2-l2a", WHERE, JUNE, bands=("B04",), patience=patience
    )
    return sentinelhub.read(plan, plan.days[0], folder, patience=patience)


def refusal(service: SentinelHub, folder: Path, **how) -> str:
    with pytest.raises(SourceError) as caught:
        run(service, folder, **how)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600
    for secret in (SECRET, "token-"):
        assert secret not in text
    assert not list(folder.glob("*")), "nothing broken is kept"
    return text


def busy(wait: str) -> Answer:
    return Answer.json({}, 429, headers={"Retry-After": wait})


@pytest.mark.parametrize(
    "faults",
    [
        [busy("40")],
        [Answer.json({}, 429)],
        [busy("Wed, 21 Oct 2015 07:28:00 GMT")],
        [Answer.page(500), Answer.page(503)],
        [Answer(cut=30)],
        [Answer(reset=0)],
        [busy("40"), Answer.page(502)],
    ],
    ids=["429", "429 bare", "429 date", "5xx", "cut", "reset", "both"],
)
@pytest.mark.parametrize("place", [TOKEN, CATALOG, PROCESS])
def test_what_passes_is_waited_for(service, tmp_path, place, faults):
    service.script(place, *faults)
    day = run(service, tmp_path)
    np.testing.assert_allclose(day["B04"], 0.1, atol=1e-7)
    right = {TOKEN: 1, CATALOG: 3, PROCESS: 1}[place]
    assert service.times(place) == right + len(faults)


def test_retry_after_counts_milliseconds(service, tmp_path):
    service.script(PROCESS, busy("300"))
    start = time.monotonic()
    run(service, tmp_path)
    # 300 seconds would be more than the longest wait.
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, "COMMON_BAD_PAYLOAD", "ask for another grid"),
        (400, "RENDERER_EXCEPTION", "ask for another grid"),
        (401, "COMMON_UNAUTHORIZED", "check SH_CLIENT_ID"),
        (403, "COMMON_INSUFFICIENT_PERMISSIONS", "processing units are used up"),
        (429, "RATE_LIMIT_EXCEEDED", "go on later"),
        (500, "COMMON_EXCEPTION", "try again later"),
    ],
)
def test_a_refusal_is_told_with_code_message_and_what_to_do(
    service, tmp_path, status, code, advice, bare
):

    def refuse(seen: Seen) -> Answer:
        key = seen.headers["authorization"]
        words = f"The words of\nthe service \x1b[31m with {SECRET} and {key} in them"
        return error(status, code, words, bare=bare)

    service.routes[PROCESS] = refuse
    text = refusal(service, tmp_path)
    assert f"refuses with {status}, {code}: The words of the service" in text
    assert advice in text and "\x1b" not in text
    assert service.times(PROCESS) == {400: 1, 401: 2, 403: 1}.get(status, 3)


def test_wrong_keys_are_told_as_such(service, tmp_path, monkeypatch):
    monkeypatch.setenv("SH_CLIENT_SECRET", "wrong-secret-of-mine")
    text = refusal(service, tmp_path)
    assert "401, invalid_client: Invalid client credentials: check SH_CLIENT_ID" in text
    assert "wrong-secret" not in text
    assert service.times(TOKEN) == 1
    monkeypatch.delenv("SH_CLIENT_SECRET")
    assert "SH_CLIENT_SECRET" in refusal(service, tmp_path)


def test_a_used_up_quota_is_not_waited_for(service, tmp_path):
    service.script(PROCESS, busy("86400000"))
    assert "asks to wait 86400 s: a quota is used up" in refusal(service, tmp_path)
    assert service.times(PROCESS) == 1


def tiff(count: int = 3, width: int = 50, dtype: str = "uint16", left: float = 700_000) -> bytes:
    where = {"crs": "EPSG:32643", "transform": Affine(10, 0, left, 0, -10, 3_150_000)}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=count, width=width, height=40, dtype=dtype, **where
        ) as dst:
            dst.write(np.ones((count, 40, width), dtype))
        return bytes(memory.getbuffer())


@pytest.mark.parametrize(
    "body",
    [
        PAGE,
        b"",
        b"II*\0",
        tiff()[:-1000],
        tiff(count=2),
        tiff(width=51),
        tiff(dtype="uint8"),
        tiff(left=700_005),
        b"<VRTDataset rasterXSize='50' rasterYSize='40'></VRTDataset>",
        b"x" * 2**21,
    ],
    ids=["page", "empty", "stub", "cut", "bands", "size", "type", "shifted", "vrt", "flood"],
)
def test_a_reply_that_is_not_what_was_asked_for_is_refused(service, tmp_path, body):
    service.script(PROCESS, Answer(200, body))
    assert "run again" in refusal(service, tmp_path)
    assert run(service, tmp_path) is not None


@pytest.mark.parametrize(
    "body",
    [
        PAGE,
        b"[]",
        b"{}",
        b'{"features": [], "context": null}',
        b'{"features": [{"id": "x"}], "context": {}}',
        b'{"features": [{"id": "x", "properties": {"datetime": "soon"}}], "context": {}}',
        b'{"features": 5, "context": {}}',
    ],
)
def test_a_catalog_that_talks_nonsense_is_refused(service, tmp_path, body):
    service.script(CATALOG, Answer(200, body))
    assert "try again later" in refusal(service, tmp_path)


def test_a_catalog_without_an_end_is_left(service, tmp_path, monkeypatch):
    monkeypatch.setattr(sentinelhub, "MOST_PRODUCTS", 8)
    page = b'{"features": [{"id": "x", "properties": {"datetime": "2024-06-01T00:00:00Z"}}],'
    service.script(CATALOG, *[Answer(200, page + b'"context": {"next": 1}}')] * 9)
    assert "choose a shorter period" in refusal(service, tmp_path)


@pytest.mark.parametrize("place", [TOKEN, CATALOG, PROCESS])
@pytest.mark.parametrize("fault", [Answer(delay_s=60), Answer(stall=9), Answer(drip_s=0.02)])
def test_a_service_that_stalls_is_given_up(service, tmp_path, place, fault):
    service.script(place, fault, fault)
    start = time.monotonic()
    text = refusal(service, tmp_path, patience=replace(PATIENCE, attempts=2, timeout_s=0.2))
    assert "gives no whole reply in 2 tries" in text
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("place", [TOKEN, CATALOG, PROCESS])
@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(service, tmp_path, place, status):
    with SentinelHub(service.value) as other:
        service.script(place, Answer.redirect(other.url(place), status))
        assert "redirects" in refusal(service, tmp_path)
        assert not other.seen


@pytest.mark.parametrize(
    "href",
    ["http://services.sentinel-hub.com", "https://sh.example.org", "http://127.0.0.1:1", "ftp://x"],
)
def test_other_hosts_are_refused_before_anything_is_sent(service, tmp_path, href):
    refusal(service, tmp_path, href=href)
    assert not service.seen


def test_a_listed_host_that_is_no_sentinel_hub_gets_no_secret(service, tmp_path):
    text = refusal(service, tmp_path, href="https://example.org", hosts=("example.org",))
    assert "is no Sentinel Hub service that is known" in text


def test_one_token_serves_all_requests(service, tmp_path):
    plan = sentinelhub.plan(
        service.source(), "sentinel-2-l2a", WHERE, JUNE, bands=("B04",), patience=PATIENCE
    )
    for day in plan.days:
        sentinelhub.read(plan, day, tmp_path, patience=PATIENCE)
    assert [service.times(path) for path in (TOKEN, CATALOG, PROCESS)] == [1, 3, 5]


def test_a_token_is_renewed_before_it_expires(service, tmp_path, until):
    service.expires_in = 2.0
    folders = (tmp_path / str(number) for number in range(9999))
    until(lambda: run(service, next(folders)) and service.times(TOKEN) == 2, "a second token")
    # A refused token would have been asked with again.
    assert service.times(PROCESS) == len(service.payloads)
    assert service.times(CATALOG) == len(service.searches)


def test_a_token_that_dies_early_is_renewed_once_for_all_threads(service, tmp_path):
    where = GeoBox((600, 1030), WHERE.affine, WHERE.crs)
    plan = sentinelhub.plan(
        service.source(), "sentinel-2-l2a", where, JUNE, bands=("B04",), patience=PATIENCE
    )
    service.expire()
    tiled = replace(plan, side=512)
    assert sentinelhub.read(tiled, plan.days[0], tmp_path, patience=PATIENCE) is not None
    assert service.times(TOKEN) == 2
    assert service.times(PROCESS) > len(tiled.tiles)


@pytest.mark.parametrize(
    "told", [{}, {"access_token": "x"}, {"access_token": "x", "expires_in": 0}]
)
def test_a_reply_without_a_token_is_refused(service, tmp_path, told):
    service.script(TOKEN, Answer.json(told))
    assert "gives no token" in refusal(service, tmp_path)


def test_a_password_of_the_users_netrc_does_not_replace_the_token(service, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert run(service, tmp_path / "replies") is not None
    assert service.times(TOKEN) == 1


def test_no_file_is_left_in_the_home_folder_and_no_secret_in_the_log(
    service, tmp_path, monkeypatch, caplog
):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with caplog.at_level(logging.DEBUG):
        run(service, tmp_path / "replies")
    assert not list(home.iterdir())
    assert caplog.records and SECRET not in caplog.text and "token-0" not in caplog.text
    kept = b"".join(path.read_bytes() for path in (tmp_path / "replies").iterdir())
    assert SECRET.encode() not in kept and b"token-0" not in kept
