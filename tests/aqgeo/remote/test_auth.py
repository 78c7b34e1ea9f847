"""Keys: one login for all threads, tokens renewed in time, secrets that do not show."""

import copy
import json
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import boto3
import httpx
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from aqgeo.errors import SourceError
from aqgeo.remote import auth
from aqgeo.remote.http import Client, Remote, fetch
from tests.standins.server import Answer, Seen, Server

PASSWORD = "pass-word-of-the-account"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/box/a.nc": b"content", "/box/b.nc": b"content b"}) as server:
        yield server


def quick(*hosts: str, **more) -> Client:
    return Client(hosts, **{"wait_s": 0.001, "stall_s": 1.0, "attempts": 2, **more})


class Identity:
    """A login service; tokens are numbered, and `good` are those that files are given for."""

    def __init__(self, server: Server) -> None:
        self.forms: list[dict[str, str]] = []
        self.life, self.refresh_life, self.refuse = 600.0, 3600.0, False
        self.good: set[str] = set()
        server.routes["/token"] = self.token
        server.routes["/box"] = self.file

    def token(self, seen: Seen) -> Answer:
        form = seen.form()
        self.forms.append(form)
        if form["grant_type"] == "password" and form["password"] != PASSWORD:
            said = {"error": "invalid_grant", "error_description": f"Invalid: {form['password']}"}
            return Answer.json(said, 401)
        if form["grant_type"] == "refresh_token" and self.refuse:
            return Answer.json({"error": "invalid_grant"}, 400)
        token = f"access-token-{len(self.forms)}"
        self.good = {token}
        return Answer.json(
            {
                "access_token": token,
                "expires_in": self.life,
                "refresh_token": f"refresh-token-{len(self.forms)}",
                "refresh_expires_in": self.refresh_life,
            }
        )

    def file(self, seen: Seen) -> Answer | None:
        if seen.headers.get("authorization", "").removeprefix("Bearer ") in self.good:
            return None
        return Answer.json({"detail": "Expired signature!"}, 401)

    @property
    def grants(self) -> list[str]:
        return [form["grant_type"] for form in self.forms]


@pytest.fixture
def identity(server: Server, monkeypatch) -> Identity:
    monkeypatch.setenv("CDSE_PASSWORD", PASSWORD)
    return Identity(server)


def session(server: Server) -> auth.OpenIdConnect:
    return auth.OpenIdConnect(server.url("/token"), "me", client=quick(server.host))


def test_one_login_serves_all_threads(server: Server, identity: Identity) -> None:
    one = quick(server.host, auth=session(server), per_host=16)
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: one.request("GET", server.url("/box/a.nc")), range(64)))
    assert {answer.content for answer in got} == {b"content"}
    assert identity.forms == [
        {"grant_type": "password", "client_id": "cdse-public", "username": "me",
         "password": PASSWORD}
    ]  # fmt: skip


def test_a_process_has_one_session_for_an_account(server, identity, monkeypatch) -> None:
    monkeypatch.setenv("CDSE_TOKEN_URL", server.url("/token"))
    monkeypatch.setenv("CDSE_USERNAME", "me")
    assert auth.of("cdse") is auth.of("cdse")
    quick(server.host, auth=auth.of("cdse")).request("GET", server.url("/box/a.nc"))
    assert identity.grants == ["password"]
    monkeypatch.setenv("CDSE_USERNAME", "you")
    quick(server.host, auth=auth.of("cdse")).request("GET", server.url("/box/a.nc"))
    assert [form["username"] for form in identity.forms] == ["me", "you"]


def test_a_token_is_refreshed_before_it_ends(server, identity, until) -> None:
    identity.life = 0.05
    one = quick(server.host, auth=session(server))
    until(
        lambda: one.request("GET", server.url("/box/a.nc")) and len(identity.forms) == 3, "renewals"
    )
    assert identity.grants == ["password", "refresh_token", "refresh_token"]
    assert identity.forms[2]["refresh_token"] == "refresh-token-2"
    assert all(s.path == "/token" or s.headers["authorization"] for s in server.seen)


def test_a_token_that_is_refused_is_refreshed_once_for_all_threads(server, identity) -> None:
    one = quick(server.host, auth=session(server), per_host=8)
    one.request("GET", server.url("/box/a.nc"))
    identity.good = set()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: one.request("GET", server.url("/box/a.nc")), range(8)))
    assert identity.grants == ["password", "refresh_token"]


def test_a_refused_refresh_leads_to_one_new_login(server, identity) -> None:
    one = quick(server.host, auth=session(server))
    one.request("GET", server.url("/box/a.nc"))
    identity.good, identity.refuse = set(), True
    assert one.request("GET", server.url("/box/a.nc")).content == b"content"
    assert identity.grants == ["password", "refresh_token", "password"]


def test_a_session_past_its_life_is_not_refreshed(server, identity, until) -> None:
    identity.life = identity.refresh_life = 0.05
    one = quick(server.host, auth=session(server))
    until(
        lambda: one.request("GET", server.url("/box/a.nc")) and len(identity.forms) == 2, "logins"
    )
    assert identity.grants == ["password", "password"]


def test_a_service_that_is_down_for_a_moment_ends_no_session(server, identity) -> None:
    one = quick(server.host, auth=session(server))
    one.request("GET", server.url("/box/a.nc"))
    identity.good = set()
    server.script("/token", Answer(503, b""))
    assert one.request("GET", server.url("/box/a.nc")).content == b"content"
    assert identity.grants == ["password", "refresh_token"]


def test_a_wrong_password_is_tried_once_however_many_files(server, identity, monkeypatch, tmp_path):
    monkeypatch.setenv("CDSE_PASSWORD", "wrong-password")
    server.files |= {f"/box/{n}": b"%d" % n for n in range(20)}
    wanted = [Remote(server.url(f"/box/{n}")) for n in range(20)]
    one = quick(server.host, auth=session(server))
    done = fetch(one, wanted, tmp_path)
    assert len(done.failed) == 20 and len(identity.forms) == 1
    said = next(iter(done.failed.values()))
    assert "answers 401 (Invalid: ***): check the keys of this source" in said
    assert "CDSE_USERNAME, CDSE_PASSWORD" in said and "wrong-password" not in said
    monkeypatch.setenv("CDSE_PASSWORD", PASSWORD)
    assert fetch(one, wanted, tmp_path).done == 20


@pytest.mark.parametrize("said", ["[]", "{}", "<html>", '{"access_token": "x"}', "null"])
def test_a_strange_login_is_told(server, identity, said: str) -> None:
    server.script("/token", Answer(200, said.encode()))
    with pytest.raises(SourceError, match="answers without access_token"):
        quick(server.host, auth=session(server)).request("GET", server.url("/box/a.nc"))


def test_a_login_goes_to_its_own_domain_only(server, identity) -> None:
    request = httpx.Request("GET", "https://far.example/x")
    next(session(server).sync_auth_flow(request))
    assert "authorization" not in request.headers and not identity.forms


# Planetary Computer


class Tokens:
    """A service of tokens for containers, and a storage that wants them."""

    def __init__(self, server: Server) -> None:
        self.asked: list[Seen] = []
        self.minutes = 45.0
        self.refused: set[str] = set()
        server.routes["/sas"] = self.token
        server.routes["/box"] = self.file

    def token(self, seen: Seen) -> Answer:
        self.asked.append(seen)
        ends = datetime.now(UTC) + timedelta(minutes=self.minutes)
        token = f"st=2026-01-01T00%3A00%3A00Z&sp=rl&sig=signature%2B{len(self.asked)}%3D"
        return Answer.json({"msft:expiry": ends.strftime("%Y-%m-%dT%H:%M:%SZ"), "token": token})

    def file(self, seen: Seen) -> Answer | None:
        if "sig" not in seen.query:
            return Answer.xml("PublicAccessNotPermitted", "No anonymous access", 409)
        if seen.query["sig"] in self.refused:
            return Answer.xml("AuthenticationFailed", "Signature not valid in the time frame", 403)
        return None


@pytest.fixture
def tokens(server: Server) -> Tokens:
    return Tokens(server)


def planetary(server: Server, key: str = "") -> auth.PlanetaryComputer:
    ends = {"blobs": server.host, "client": quick(server.host)}
    return auth.PlanetaryComputer(server.url("/sas"), key=auth.Secret(key), **ends)


def test_one_token_serves_a_container(server: Server, tokens: Tokens) -> None:
    one = quick(server.host, auth=planetary(server, "subscription"), per_host=8)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda n: one.request("GET", server.url(f"/box/{'ab'[n % 2]}.nc")), range(16))
        )
    assert [s.path for s in tokens.asked] == ["/sas/127/box"]
    assert tokens.asked[0].headers["ocp-apim-subscription-key"] == "subscription"
    files = [s for s in server.seen if s.path.startswith("/box")]
    assert all(s.query["sig"] == "signature+1=" and s.query["sp"] == "rl" for s in files)


def test_a_token_with_less_than_a_minute_is_renewed(server: Server, tokens: Tokens) -> None:
    tokens.minutes = 0.9
    one = quick(server.host, auth=planetary(server))
    for _ in range(3):
        one.request("GET", server.url("/box/a.nc"))
    assert len(tokens.asked) == 3


def test_a_token_that_the_storage_refuses_is_renewed_once(server: Server, tokens: Tokens) -> None:
    one = quick(server.host, auth=planetary(server))
    tokens.refused = {"signature+1="}
    assert one.request("GET", server.url("/box/a.nc")).content == b"content"
    tokens.refused = {f"signature+{n}=" for n in range(9)}
    with pytest.raises(SourceError, match=r"403 \(AuthenticationFailed: Signature not valid"):
        one.request("GET", server.url("/box/a.nc"))
    assert len(tokens.asked) == 3


def test_an_old_signature_is_replaced_and_another_query_kept(
    server: Server, tokens: Tokens
) -> None:
    one = quick(server.host, auth=planetary(server))
    one.request("GET", server.url("/box/a.nc?st=2020&sig=old"))
    one.request("GET", server.url("/box/a.nc?comp=list"))
    old, other = (s.query for s in server.asked("/box/a.nc"))
    assert old == {"st": "2026-01-01T00:00:00Z", "sp": "rl", "sig": "signature+1="}
    assert other == {"comp": "list", **old}


def test_a_file_whose_signature_changed_is_the_same_file(server, tokens, tmp_path) -> None:
    one = quick(server.host, auth=planetary(server))
    first = fetch(one, [Remote(server.url("/box/a.nc"))], tmp_path)
    again = fetch(one, [Remote(server.url("/box/a.nc?st=2&se=3&sv=4&sig=5"))], tmp_path)
    other = fetch(one, [Remote(server.url("/box/a.nc?id=1"))], tmp_path)
    assert (first.done, again.cached, other.done) == (1, 1, 1)


def test_only_blob_hosts_get_a_token() -> None:
    request = httpx.Request("GET", "https://planetarycomputer.microsoft.com/api/stac/v1?sig=1")
    signer = auth.of("planetary-computer")
    for host in ("planetarycomputer.microsoft.com", "blob.core.windows.net.evil.example"):
        request = httpx.Request("GET", f"https://{host}/a/b")
        assert next(signer.sync_auth_flow(request)).url == request.url


# S3


class Bucket(NamedTuple):
    """A bucket `eodata` on a service that wants signatures."""

    endpoint: str
    access: str
    secret: str

    def client(self, monkeypatch) -> Client:
        monkeypatch.setenv("CDSE_S3_ENDPOINT", self.endpoint)
        monkeypatch.setenv("CDSE_S3_ACCESS_KEY", self.access)
        monkeypatch.setenv("CDSE_S3_SECRET_KEY", self.secret)
        return quick(self.endpoint.removeprefix("http://"), auth=auth.of("s3"))


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    how = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    how |= {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    iam = boto3.client("iam", **how)
    iam.create_user(UserName="reader")
    policy = {"Version": "2012-10-17", "Statement": [RIGHTS]}
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName="reader")["AccessKey"]
    s3 = boto3.client("s3", **how, config=Config(s3={"addressing_style": "path"}))
    s3.create_bucket(Bucket="eodata")
    for key in KEYS:
        s3.put_object(Bucket="eodata", Key=key, Body=b"content of " + key.encode())
    s3.close()
    iam.close()
    # From here on, moto checks signatures and rights; it has one switch for the whole process.
    httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0", trust_env=False)
    yield Bucket(endpoint, made["AccessKeyId"], made["SecretAccessKey"])
    httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"inf", trust_env=False)
    moto.stop()


KEYS = ("Sentinel-2/a.jp2", "plain name+and=signs@x/b (1).nc", "ü.tif")
RIGHTS = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def test_files_come_from_a_bucket(bucket: Bucket, tmp_path: Path, monkeypatch) -> None:
    one = bucket.client(monkeypatch)
    wanted = [Remote(f"s3://eodata/{key}") for key in KEYS]
    done = fetch(one, wanted, tmp_path)
    assert not done.failed and len(done.paths) == 3
    for url, path in done.paths.items():
        assert path.read_bytes() == b"content of " + url.removeprefix("s3://eodata/").encode()
    gone = fetch(one, [Remote("s3://eodata/none"), Remote("s3://other/x")], tmp_path).failed
    assert "404 (NoSuchKey: " in gone["s3://eodata/none"]
    assert "404 (NoSuchBucket: " in gone["s3://other/x"]


def test_a_wrong_key_of_a_bucket_is_told_in_one_line(bucket, tmp_path, monkeypatch) -> None:
    wrong = bucket._replace(secret="not-the-secret-key").client(monkeypatch)
    said = fetch(wrong, [Remote("s3://eodata/ü.tif")], tmp_path).failed["s3://eodata/ü.tif"]
    assert "answers 403 (SignatureDoesNotMatch: " in said and "check the keys" in said
    assert bucket.access not in said and "not-the-secret" not in said


def test_requests_to_s3_are_signed_as_botocore_would(server: Server) -> None:
    key = auth.Secret("secret-key"), auth.Secret("secret-key-2")
    server.files["/eodata/a b+.nc"] = b"content"
    one = quick(server.host, auth=auth.S3(server.url(""), keys=key))
    one.request("GET", "s3://eodata/a b+.nc", headers={"Range": "bytes=0-"})
    seen = server.seen[0]
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=secret-key/")
    assert "/default/s3/aws4_request" in seen.headers["authorization"]
    assert seen.headers["host"] == server.host and "x-amz-request-payer" not in seen.headers
    assert "secret-key-2" not in str(seen)


def test_without_keys_requests_are_not_signed(server: Server, monkeypatch) -> None:
    monkeypatch.setenv("CDSE_S3_ENDPOINT", server.url(""))
    server.files["/b/c"] = b"open"
    one = quick(server.host, auth=auth.of("s3"))
    assert one.request("GET", "s3://b/c").content == b"open"
    assert "authorization" not in server.seen[0].headers


def test_amazon_is_told_who_pays_and_others_get_no_key() -> None:
    keys = auth.Secret("access"), auth.Secret("key")
    signer = auth.S3("https://s3.eu-central-1.amazonaws.com", keys=keys)
    request = httpx.Request("GET", "s3://sentinel-s2-l1c/tiles/a.jp2")
    sent = next(signer.sync_auth_flow(request))
    assert str(sent.url) == "https://s3.eu-central-1.amazonaws.com/sentinel-s2-l1c/tiles/a.jp2"
    assert sent.headers["x-amz-request-payer"] == "requester"
    assert "/eu-central-1/s3/" in sent.headers["authorization"]
    assert "x-amz-request-payer" in sent.headers["authorization"]
    other = next(signer.sync_auth_flow(httpx.Request("GET", "https://far.example/x")))
    assert "authorization" not in other.headers


# All


def test_openaq_gets_its_key_and_nobody_else(monkeypatch) -> None:
    monkeypatch.setenv("OPENAQ_API_KEY", "the-key-of-openaq")
    signer = auth.of("openaq")
    for url, sent in (
        ("https://api.openaq.org/v3/locations", True),
        ("https://api.openaq.org.evil.example/v3", False),
        ("https://api.openaq.org:8443/v3", False),
    ):
        request = next(signer.sync_auth_flow(httpx.Request("GET", url)))
        assert ("x-api-key" in request.headers) == sent


@pytest.mark.parametrize(
    ("name", "variable"),
    [("cdse", "CDSE_PASSWORD"), ("openaq", "OPENAQ_API_KEY"), ("s3", "CDSE_S3_SECRET_KEY")],
)
def test_a_missing_key_is_named(monkeypatch, name: str, variable: str) -> None:
    for each in auth.ENVIRONMENT:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("CDSE_S3_ACCESS_KEY", "access")
    monkeypatch.setenv(variable, "  ")
    with pytest.raises(SourceError, match=f"^{variable} is not set"):
        auth.of(name)


def test_other_names(monkeypatch) -> None:
    assert auth.of("none") is None and auth.of("sentinelhub") is None
    with pytest.raises(SourceError, match="'basic' is unknown"):
        auth.of("basic")
    monkeypatch.setenv("SH_CLIENT_ID", "x")
    assert auth.secret("SH_CLIENT_ID") == "x"


def test_secrets_do_not_show(server: Server, identity: Identity, caplog) -> None:
    caplog.set_level("DEBUG")
    signer = session(server)
    quick(server.host, auth=signer).request("GET", server.url("/box/a.nc"))
    shown = [repr(signer), str(signer), str(vars(signer)), str(auth.Secret("hidden")), caplog.text]
    shown += [f"{auth.Secret('hidden')}", json.dumps(vars(signer), default=repr)]
    for text in shown:
        assert not any(s in text for s in (PASSWORD, "access-token", "refresh-token", "hidden"))
    for take in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            take(auth.Secret("hidden"))
    assert threading.active_count() < 50
