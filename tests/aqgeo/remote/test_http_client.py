"""The client: which hosts it opens, what it tries again, what it tells."""

import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from aqgeo.errors import SourceError
from aqgeo.remote import answers
from aqgeo.remote.client import Client, Renewable
from aqgeo.remote.hosts import Hosts
from tests.standins.server import Answer, Server, soon

TOKEN = "a-very-secret-token-0123456789"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({"/file": b"content"}) as server:
        yield server


def client(server: Server, **more) -> Client:
    return Client([server.host], **{"wait_s": 0.001, "stall_s": 0.5, **more})


def refusal(client: Client, url: str, method: str = "GET", **how) -> str:
    with pytest.raises(SourceError) as caught:
        client.request(method, url, **how)
    assert "\n" not in str(caught.value) and TOKEN not in str(caught.value)
    return str(caught.value)


class Key(httpx.Auth):
    """Adds a header and a signed query to whatever it is given."""

    def auth_flow(self, request):
        request.headers["X-API-Key"] = TOKEN
        request.headers["Authorization"] = f"Bearer {TOKEN}"
        yield request


# Which hosts


@pytest.mark.parametrize(
    "url",
    [
        "https://far.example/x",
        "https://example.org.evil.example/x",
        "https://evilexample.org/x",
        "https://a.example.org:8443/x",
        "http://a.example.org/x",
        "http://listed.example:81/x",
        "https://user:pw@listed.example/x",
        "ftp://listed.example/x",
        "file:///etc/passwd",
        "s3://bucket/key",
        "//listed.example/x",
        "nonsense",
        "https://[::1/x",
        "https://listed.example:99999/x",
        "https://listed.example\\@far.example/x",
    ],
)
def test_only_listed_hosts_are_opened(url: str) -> None:
    rules = Client(["listed.example", "*.example.org"], wait_s=0.001, attempts=1)
    assert url.partition("?")[0][:8] in refusal(rules, f"{url}?sig={TOKEN}") or "://" not in url


def test_a_listed_host_is_its_exact_name_or_below_a_domain() -> None:
    rules = Hosts(["Listed.example", "127.0.0.1:8000", "*.example.org"])
    for url in (
        "https://listed.example/x",
        "http://LISTED.example/x",
        "http://127.0.0.1:8000/x",
        "https://a.b.example.org/x",
    ):
        rules.check(httpx.URL(url))


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "127.0.0.1", "169.254.169.254", "192.168.0.1", "100.64.0.1", "::1", "fe80::1",
     "fd00::1", "::ffff:10.0.0.1", "2002:7f00:1::", "224.0.0.1", "0.0.0.0"],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_is_refused(monkeypatch, address: str) -> None:
    asked = []

    def look_up(host, port, *_, **__):
        asked.append(host)
        return [(0, 0, 0, "", ("93.184.216.34", port)), (0, 0, 0, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    said = refusal(Client(["*.example.org"]), "https://a.example.org/x")
    assert f"leads to {address}" in said and asked == ["a.example.org"]


def test_the_address_that_was_checked_is_the_one_that_is_opened(monkeypatch, server) -> None:
    real = socket.getaddrinfo
    names = []

    def look_up(host, port, *how, **more):
        names.append(host)
        return real("127.0.0.1" if host == "listed.example" else host, port, *how, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    port = server.host.partition(":")[2]
    answer = Client([f"listed.example:{port}"]).request("GET", f"http://listed.example:{port}/file")
    assert answer.content == b"content"
    assert names == ["listed.example", "127.0.0.1"]
    assert server.seen[0].headers["host"] == f"listed.example:{port}"


# Redirects


def test_redirects_are_followed_but_not_for_ever(server: Server) -> None:
    for n in range(5):
        server.routes[f"/{n}"] = lambda _, n=n: Answer.redirect(f"/{n + 1}" if n < 4 else "/file")
    assert client(server).request("GET", server.url("/0")).content == b"content"
    server.routes["/loop"] = lambda _: Answer.redirect("/loop")
    assert "redirected more than 5 times" in refusal(client(server), server.url("/loop"))
    assert len(server.asked("/loop")) == 6


def test_a_redirect_to_a_host_that_is_not_listed_is_refused(server: Server) -> None:
    with Server({"/file": b"private"}) as other:
        server.routes["/go"] = lambda _: Answer.redirect(other.url("/file"))
        said = refusal(client(server), server.url("/go"))
        assert "is not on a listed host" in said and other.host in said
        assert not other.seen


def test_a_redirect_to_another_host_carries_no_secret(server: Server) -> None:
    with Server({"/file": b"mirror"}) as other:
        server.routes["/go"] = lambda _: Answer.redirect(other.url("/back"))
        server.routes["/here"] = lambda _: Answer.redirect("/file")
        other.routes["/back"] = lambda _: Answer.redirect(other.url("/file"))
        both = Client([server.host, other.host], auth=Key())
        headers = {"Cookie": TOKEN, "X-Other": TOKEN, "Range": "bytes=0-"}
        assert both.request("GET", server.url("/go"), headers=headers).content == b"mirror"
        assert both.request("GET", server.url("/here"), headers=headers).content == b"content"
        assert len(other.seen) == 2
        for seen in other.seen:
            assert TOKEN not in str(seen) and seen.range == "bytes=0-"
            assert seen.headers["host"] == other.host
        assert all(s.headers["x-api-key"] == TOKEN for s in server.seen)


def test_keys_do_not_travel_in_clear_to_a_usual_port(monkeypatch) -> None:
    sent = []
    plain = Client(["listed.example"], auth=Key())
    transport = httpx.MockTransport(lambda r: sent.append(r) or httpx.Response(200))
    monkeypatch.setattr(plain._http, "_transport", transport)
    plain.request("GET", "http://listed.example/x")
    plain.request("GET", "https://listed.example/x")
    assert ["x-api-key" in r.headers for r in sent] == [False, True]


def test_cookies_are_not_kept(server: Server) -> None:
    server.script("/file", Answer(headers={"Set-Cookie": "session=1"}))
    one = client(server)
    one.request("GET", server.url("/file"))
    one.request("GET", server.url("/file"))
    assert "cookie" not in server.seen[1].headers


# What is tried again


@pytest.mark.parametrize(
    "fault",
    [
        *(Answer(status) for status in (408, 429, 500, 502, 503, 504)),
        Answer(cut=3),
        Answer(reset=3),
        Answer(reset=0),
        Answer(stall=3),
        Answer(delay_s=1.0),
        Answer(headers={"Content-Encoding": "gzip"}),
        Answer(200, b"x" * 30, drip_s=0.1),
    ],
    ids=str,
)
def test_passing_faults_are_tried_again(server: Server, fault: Answer) -> None:
    server.script("/file", fault, fault)
    assert client(server).request("GET", server.url("/file")).content == b"content"
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_final_faults_are_not(server: Server, status: int) -> None:
    server.script("/file", Answer(status, b"no", {"Content-Type": "text/plain"}))
    assert f"answers {status} (no): " in refusal(client(server), server.url("/file"))
    assert len(server.seen) == 1


def test_tries_end(server: Server) -> None:
    server.routes["/busy"] = lambda _: Answer.json({"message": "Too many"}, 429)
    said = refusal(client(server, attempts=3), server.url("/busy?token=1"))
    assert said.startswith(f"http://{server.host}/busy answers 429 (Too many)")
    assert "after 3 tries" in said and len(server.seen) == 3


def test_a_closed_port_is_told_in_one_line(server: Server) -> None:
    with Server() as gone:
        pass
    said = refusal(Client([gone.host], attempts=2, wait_s=0.001), gone.url("/x"))
    assert f"{gone.host}/x cannot be reached" in said


@pytest.mark.parametrize("form", ["1", "date"])
def test_a_wait_that_is_asked_for_is_kept(server: Server, form: str) -> None:
    asked = soon(2.0) if form == "date" else form
    server.script("/file", Answer(429, headers={"Retry-After": asked}))
    begun = time.monotonic()
    client(server).request("GET", server.url("/file"))
    # An HTTP date has whole seconds: between one and two are left.
    assert 0.9 < time.monotonic() - begun < 5


def test_a_service_that_asks_for_an_hour_is_left_alone(server: Server) -> None:
    server.script("/file", Answer(503, headers={"Retry-After": "3600"}))
    said = refusal(client(server), server.url("/file"))
    assert "asks to wait 3600 s, 300 s are allowed" in said and len(server.seen) == 1


@pytest.mark.parametrize(
    ("host", "status", "headers", "seconds"),
    [
        ("a.example", 429, {"Retry-After": "7"}, 7),
        ("services.sentinel-hub.com", 429, {"Retry-After": "3398"}, 3.398),
        ("sh.dataspace.copernicus.eu", 429, {"Retry-After": "500"}, 0.5),
        ("notsentinel-hub.com", 429, {"Retry-After": "500"}, 500),
        ("api.openaq.org", 429, {"x-ratelimit-reset": "41"}, 41),
        ("api.openaq.org", 503, {"x-ratelimit-reset": "41"}, None),
        ("a.example", 429, {}, None),
        ("a.example", 429, {"Retry-After": "soon"}, None),
        ("a.example", 429, {"Retry-After": "-5"}, None),
        ("a.example", 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_the_forms_of_retry_after(host, status, headers, seconds) -> None:
    request = httpx.Request("GET", f"https://{host}/")
    assert answers.wait_asked(httpx.Response(status, headers=headers, request=request)) == seconds


def test_pauses_grow_and_are_bounded(server: Server) -> None:
    one = Client([server.host], wait_s=1.0, attempts=100)
    pauses = [one._pause(n, answers.Passing("x")) for n in range(1, 12)]
    assert all(0.5 * 2**n <= p <= 2**n for n, p in zip(range(6), pauses, strict=False))
    assert max(pauses) <= 60


def test_a_key_that_ran_out_is_renewed_once(server: Server) -> None:
    class Door(Renewable):
        key = 0

        def auth_flow(self, request):
            request.headers["Authorization"] = f"Bearer {self.key}"
            yield request

        def renew(self, answer, body):
            self.key += 1
            return b"expired" in body

    def door(seen):
        if seen.headers["authorization"] == "Bearer 1":
            return None
        return Answer.json({"detail": "Token expired"}, 401)

    server.routes["/file"] = door
    assert client(server, auth=Door()).request("GET", server.url("/file")).content == b"content"
    server.seen.clear()
    server.routes["/file"] = lambda _: Answer.json({"detail": "Token expired"}, 401)
    assert "Token expired" in refusal(client(server, auth=Door()), server.url("/file"))
    assert len(server.seen) == 2


# What is held and what is told


def test_requests_in_flight_to_one_host_are_capped_over_all_threads(server: Server) -> None:
    server.routes["/slow"] = lambda _: Answer(200, b"x", delay_s=0.03)
    one = client(server, per_host=3)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: one.request("GET", server.url("/slow")), range(24)))
    assert server.most_at_once == 3


def test_an_answer_larger_than_the_bound_is_refused(server: Server, monkeypatch) -> None:
    monkeypatch.setattr("aqgeo.remote.client.LARGEST_ANSWER", 2**20)
    packed = gzip.compress(bytes(2**24))
    server.routes["/bomb"] = lambda _: Answer(200, packed, {"Content-Encoding": "gzip"})
    assert "more than 1 MiB" in refusal(client(server), server.url("/bomb"))


def test_bodies_and_json_arrive_whole(server: Server) -> None:
    server.routes["/echo"] = lambda seen: Answer.json([seen.json(), seen.query, seen.method])
    answer = client(server).request("POST", server.url("/echo?a=1"), json={"b": 2})
    assert answer.json() == [{"b": 2}, {"a": "1"}, "POST"] and answer.status_code == 200
    packed = gzip.compress(b'{"c": 3}')
    server.routes["/gz"] = lambda _: Answer(200, packed, {"Content-Encoding": "gzip"})
    assert client(server).request("GET", server.url("/gz")).json() == {"c": 3}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (json.dumps({"code": 400, "description": "bad limit"}), "bad limit"),
        (json.dumps({"detail": [{"msg": "x", "loc": 1}]}), ""),
        (json.dumps({"detail": "Expired signature!"}), "Expired signature!"),
        (json.dumps({"error": {"status": 400, "message": "no band"}}), "no band"),
        (json.dumps({"error": "invalid_grant", "error_description": "Bad login"}), "Bad login"),
        ("<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>No\nway</Message></Error>",
         "AccessDenied: No way"),
        ('<Error xmlns="urn:x"><Code>SlowDown</Code></Error>', "SlowDown"),
        ("<!DOCTYPE html><html>x</html>", "a web page"),
        ("\n <HTML>x", "a web page"),
        ("<!DOCTYPE a [<!ENTITY b 'bbbbb'><!ENTITY c '&b;&b;'>]><a>&c;</a>", ""),
        ("<Error><Code>cut", ""),
        ("[" * 60_000, ""),
        ("plain\x1b[31m words", "plain[31m words"),
        ("x" * 1000, "x" * 197 + "..."),
        (f"key {TOKEN} is wrong", "key *** is wrong"),
        ("see https://a.example/b?sig=abc%3D&x=1 there", "see https://a.example/b there"),
        ("String to sign: sig=AbC/d+e= sv=1", "String to sign: sig=*** sv=1"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_words_of_a_service_are_told_in_one_line(server, body: str, told: str) -> None:
    server.routes["/no"] = lambda _: Answer(403, body.encode())
    said = refusal(client(server, auth=Key()), server.url(f"/no?sig={TOKEN}"))
    words = f" ({told})" if told else ""
    assert said.startswith(f"http://{server.host}/no answers 403{words}: check the keys")


def test_no_secret_reaches_a_log(server: Server, caplog) -> None:
    caplog.set_level(logging.DEBUG, logger="aqgeo")
    for name in ("httpx", "httpcore"):
        assert not logging.getLogger(name).isEnabledFor(logging.INFO)
    server.script("/file", Answer(500), Answer(429, f"key {TOKEN}".encode()))
    one = client(server, auth=Key())
    one.request("GET", server.url(f"/file?sig={TOKEN}"))
    assert "try 3 of 6" in caplog.text and TOKEN not in caplog.text and TOKEN not in repr(one)


def test_an_error_page_without_end_is_not_read_to_its_end(server: Server) -> None:
    server.routes["/no"] = lambda _: Answer(404, b"x" * 50_000_000)
    begun = time.monotonic()
    assert "answers 404" in refusal(client(server), server.url("/no"))
    assert time.monotonic() - begun < 1


def test_headers_that_drip_are_given_up(server: Server) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def drip() -> None:
        listener.settimeout(5)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            while not ended.wait(0.05):
                try:
                    connection.send(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        said = refusal(Client([host], attempts=1, stall_s=0.3), f"http://{host}/x")
        assert "silent or too slow" in said or "breaks off" in said
    finally:
        ended.set()
        thread.join()
        listener.close()
