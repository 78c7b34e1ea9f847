"""What a service's answer means: whether to ask again, how long to wait, what it says."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

import defusedxml
import httpx
from defusedxml import ElementTree

from aqgeo.errors import SourceError
from aqgeo.remote.hosts import shown

# Statuses that may be gone on the next try (RFC 9110; 429 is RFC 6585).
PASSING = {408, 429, 500, 502, 503, 504}
# Hosts that give Retry-After in milliseconds, against the RFC (Sentinel Hub's documentation).
MILLISECOND_HOSTS = ("sentinel-hub.com", "sh.dataspace.copernicus.eu")
ADVICE = {
    401: "check the keys of this source",
    403: "check the keys of this source, or whether the file may be read with them",
    404: "it may have been withdrawn: search again",
    410: "it has been withdrawn: search again",
    429: "ask for less, or try again later",
}
# JSON keys that services put their words under, the most telling first.
WORDS = ("error_description", "description", "message", "detail", "error", "title", "reason")
SECRET_HEADERS = ("authorization", "x-api-key", "ocp-apim-subscription-key", "x-amz-security-token")


class Passing(Exception):
    """A fault that the next try may not meet; its text is what the user sees if all tries do."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        """Remember the reason, and the seconds that the service asks to wait."""
        super().__init__(reason)
        self.wait_s = wait_s


class Refused(SourceError):
    """A service says no, and would again."""


def fault(answer: httpx.Response, body: bytes) -> Passing | SourceError:
    """Return what an answer with a status of 400 or more means."""
    said = words(answer, body)
    text = f"{shown(answer.request.url)} answers {answer.status_code}{f' ({said})' if said else ''}"
    text += f": {ADVICE.get(answer.status_code, 'try again later')}"
    if answer.status_code in PASSING:
        return Passing(text, wait_asked(answer))
    if answer.status_code in (400, 405, 406, 409, 415, 422):
        text = text.removesuffix("try again later") + "the service refuses this request"
    return Refused(text)


def broken(err: httpx.RequestError) -> Passing:
    """Return what a transfer that broke off means."""
    what = "breaks off"
    if isinstance(err, httpx.ConnectError):
        what = f"cannot be reached ({' '.join(str(err).split())[:120]})"
    elif isinstance(err, httpx.TimeoutException):
        what = "is silent or too slow"
    elif isinstance(err, httpx.DecodingError):
        what = "sends a broken body"
    return Passing(f"{shown(err.request.url)} {what}: try again later")


def wait_asked(answer: httpx.Response) -> float | None:
    """Return the seconds that an answer asks to wait: a number, a date, or milliseconds."""
    asked = answer.headers.get("retry-after")
    if asked is None and answer.status_code == 429:
        # OpenAQ's, in seconds.
        asked = answer.headers.get("x-ratelimit-reset")
    if asked is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d*)?", asked.strip()):
        host = answer.request.url.host
        milli = any(host == h or host.endswith(f".{h}") for h in MILLISECOND_HOSTS)
        return float(asked) / (1000 if milli else 1)
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)


def words(answer: httpx.Response, body: bytes) -> str:
    """Return the first useful words of a service's own message, without any secret."""
    text = body[: 64 * 1024].decode("utf-8", "replace").strip()
    if is_page(body):
        return "a web page"
    if text.startswith("{") or text.startswith("["):
        said = _from_json(text)
    elif text.startswith("<"):
        said = _from_xml(text)
    else:
        said = text
    said = " ".join(hide(said, answer.request).split())
    said = "".join(c for c in said if c.isprintable())
    return said if len(said) <= 200 else f"{said[:197]}..."


def is_page(head: bytes) -> bool:
    """Whether bytes begin as a web page does."""
    start = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        start.startswith(b"<?xml") and b"<html" in start
    )


def hide(text: str, request: httpx.Request) -> str:
    """Return a text without the secrets of a request, should a service have echoed them."""
    for secret in _secrets(request):
        text = text.replace(secret, "***")
    # Signed queries and tokens of any other request.
    text = re.sub(r"(?i)(bearer|basic)\s+\S+", r"\1 ***", text)
    text = re.sub(r"(?i)((?:sig|signature|token|password|secret|key)=)[^&\s\"']+", r"\1***", text)
    return re.sub(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*", r"\1", text)


def _secrets(request: httpx.Request) -> Iterator[str]:
    for name in SECRET_HEADERS:
        yield from (word for word in request.headers.get(name, "").split() if len(word) > 6)
    yield from (value for value in request.url.params.values() if len(value) > 16)
    if request.headers.get("content-type") == "application/x-www-form-urlencoded":
        form = parse_qsl(request.content.decode("utf-8", "replace"))
        yield from (value for name, value in form if name not in ("grant_type", "client_id"))


def _from_json(text: str) -> str:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    # Errors come wrapped: in `error`, or as the first of a list.
    for _ in range(3):
        if isinstance(content, list):
            content = content[0] if content else ""
        if not isinstance(content, dict):
            break
        content = next((content[k] for k in WORDS if content.get(k)), content.get("code", ""))
    return content if isinstance(content, str) else ""


def _from_xml(text: str) -> str:
    try:
        root: Element = ElementTree.fromstring(text)
    except (ParseError, defusedxml.DefusedXmlException, ValueError):
        return ""
    found = {node.tag.rpartition("}")[2]: (node.text or "").strip() for node in root.iter()}
    return ": ".join(found[key] for key in ("Code", "Message") if found.get(key))
