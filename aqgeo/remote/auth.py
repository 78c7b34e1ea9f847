"""How requests to each service are signed, with keys from environment variables only."""

import json
import os
import re
import threading
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aqgeo.errors import SourceError
from aqgeo.remote.answers import Refused
from aqgeo.remote.client import Client, Renewable

# Documentation of the Copernicus Data Space Ecosystem, "Access token" and "S3".
CDSE_TOKEN_URL = (
    "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
)
CDSE_CLIENT = "cdse-public"
CDSE_S3_ENDPOINT = "https://eodata.dataspace.copernicus.eu"
# Planetary Computer, "Using tokens for data access"; files lie in Azure Blob Storage.
PC_SAS_URL = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
PC_BLOBS = "blob.core.windows.net"
OPENAQ_URL = "https://api.openaq.org"
# A SAS token is renewed when less is left, as Microsoft's own client does.
LEAST_LEFT = timedelta(seconds=60)
# A login that failed for another reason than the password is not tried again for as long.
RETRY_LOGIN_S = 60
ENVIRONMENT = {
    "CDSE_USERNAME": "account of the Copernicus Data Space, for downloads",
    "CDSE_PASSWORD": "its password",
    "CDSE_S3_ACCESS_KEY": "S3 access key; unsigned without it",
    "CDSE_S3_SECRET_KEY": "its secret key",
    "PC_SDK_SUBSCRIPTION_KEY": "key of the Planetary Computer, optional: longer tokens",
    "OPENAQ_API_KEY": "key of OpenAQ v3",
    "SH_CLIENT_ID": "OAuth client of Sentinel Hub or of the Copernicus Data Space",
    "SH_CLIENT_SECRET": "its secret",
    "CDSE_TOKEN_URL": f"where logins go, instead of {CDSE_TOKEN_URL}",
    "CDSE_S3_ENDPOINT": f"the S3 service, instead of {CDSE_S3_ENDPOINT}",
    "PC_SAS_URL": f"where tokens come from, instead of {PC_SAS_URL}",
    "PC_BLOBS": f"host or domain whose files need them, instead of {PC_BLOBS}",
    "OPENAQ_URL": f"root of OpenAQ's API, instead of {OPENAQ_URL}",
}
Flow = Generator[httpx.Request, httpx.Response, None]


def of(name: str) -> httpx.Auth | None:
    """Return what signs requests for a value of `Source.auth`; None for `none`.

    Sentinel Hub's own package signs its requests, so None is right there too.

    Raises:
        SourceError: an environment variable is missing; the message names it.
    """
    if name == "planetary-computer":
        return PlanetaryComputer(
            _setting("PC_SAS_URL", PC_SAS_URL),
            blobs=_setting("PC_BLOBS", PC_BLOBS),
            key=Secret(os.environ.get("PC_SDK_SUBSCRIPTION_KEY", "")),
        )
    if name == "cdse":
        secret("CDSE_PASSWORD")
        return _session(_setting("CDSE_TOKEN_URL", CDSE_TOKEN_URL), secret("CDSE_USERNAME"))
    if name == "s3":
        return S3(_setting("CDSE_S3_ENDPOINT", CDSE_S3_ENDPOINT), keys=_s3_keys())
    if name == "openaq":
        return OpenAQ(_setting("OPENAQ_URL", OPENAQ_URL), Secret(secret("OPENAQ_API_KEY")))
    if name in ("none", "sentinelhub"):
        return None
    raise SourceError(
        f"auth {name!r} is unknown: choose none, planetary-computer, cdse, s3, openaq, sentinelhub"
    )


def secret(variable: str) -> str:
    """Return an environment variable that holds a key.

    Raises:
        SourceError: it is missing or empty.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise SourceError(
            f"{variable} is not set ({ENVIRONMENT.get(variable, 'a key')}): set it in the "
            "environment or in a Prefect block"
        )
    return value


class Secret:
    """A text that shows itself only when asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Hide a text."""
        self._text = text

    def __repr__(self) -> str:
        """Return three stars."""
        return "Secret(***)"

    def __reduce__(self) -> str:
        """Refuse to be written or sent."""
        raise TypeError("a secret is not written down")

    def reveal(self) -> str:
        """Return the text."""
        return self._text


class PlanetaryComputer(Renewable):
    """Signs files in Azure Blob Storage with tokens of the Planetary Computer, one a container."""

    def __init__(
        self, endpoint: str, *, blobs: str, key: Secret, client: Client | None = None
    ) -> None:
        """Remember where tokens come from, and on which hosts they are needed."""
        self._endpoint, self._blobs, self._key = endpoint.rstrip("/"), blobs, key
        self._client = client or Client([_netloc(endpoint)])
        self._tokens: dict[str, tuple[Secret, datetime]] = {}
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        """Put a token into the URL of a file, in place of an older one."""
        netloc = request.url.netloc.decode()
        if f".{netloc}".endswith(f".{self._blobs}"):
            query = request.url.query.decode()
            # A URL that was signed before holds nothing but its signature.
            kept = f"{query}&" if query and "sig" not in request.url.params else ""
            token = self._token(_container(request.url)).reveal()
            request.url = request.url.copy_with(query=(kept + token).encode())
        yield request

    def renew(self, answer: httpx.Response, body: bytes) -> bool:
        """Forget a container's token if the storage says that it is not valid."""
        if b"AuthenticationFailed" not in body:
            return False
        container = _container(answer.request.url)
        with self._lock:
            token, _ = self._tokens.get(container, (Secret(""), None))
            if token.reveal() in str(answer.request.url):
                self._tokens.pop(container, None)
        return True

    def _token(self, container: str) -> Secret:
        with self._lock:
            token, expiry = self._tokens.get(
                container, (Secret(""), datetime.min.replace(tzinfo=UTC))
            )
            if expiry - datetime.now(UTC) < LEAST_LEFT:
                self._tokens[container] = token, expiry = self._ask(container)
            return token

    def _ask(self, container: str) -> tuple[Secret, datetime]:
        key = self._key.reveal()
        headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
        answer = self._client.request("GET", f"{self._endpoint}/{container}", headers=headers)
        said = _json(answer)
        try:
            expiry = datetime.fromisoformat(said["msft:expiry"])
            return Secret(str(said["token"])), expiry if expiry.tzinfo else expiry.replace(
                tzinfo=UTC
            )
        except (KeyError, TypeError, ValueError) as err:
            raise _strange(answer, "token and msft:expiry") from err


class OpenIdConnect(Renewable):
    """Signs requests with the access token of one login, kept alive for all threads."""

    def __init__(self, endpoint: str, user: str, *, client: Client | None = None) -> None:
        """Remember where to log in; nothing is asked yet. The password is read when needed."""
        self._endpoint, self._user = endpoint, user
        self._client = client or Client([_netloc(endpoint)])
        self._lock = threading.Lock()
        self._access, self._refresh = Secret(""), Secret("")
        self._ends = self._refresh_ends = 0.0
        self._failed = ("", Secret(""), 0.0)

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        """Add the token to requests to the login's own domain."""
        home = httpx.URL(self._endpoint).host
        if request.url.host == home or request.url.host.endswith(f".{home.partition('.')[2]}"):
            request.headers["Authorization"] = f"Bearer {self._token().reveal()}"
        yield request

    def renew(self, answer: httpx.Response, body: bytes) -> bool:
        """Let the token end now, unless another thread has a new one already."""
        sent = answer.request.headers.get("Authorization", "")
        if answer.status_code != 401 or not sent:
            return False
        with self._lock:
            if sent == f"Bearer {self._access.reveal()}":
                self._ends = 0.0
        return True

    def _token(self) -> Secret:
        with self._lock:
            if time.monotonic() >= self._ends:
                if time.monotonic() >= self._refresh_ends or not self._refreshed():
                    self._log_in()
            return self._access

    def _refreshed(self) -> bool:
        """Whether the service has given a new token for the old session."""
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh.reveal()}
        try:
            self._ask(form)
        except Refused:
            return False
        return True

    def _log_in(self) -> None:
        password = secret("CDSE_PASSWORD")
        reason, tried, until = self._failed
        if tried.reveal() == password and time.monotonic() < until:
            raise SourceError(reason)
        form = {"grant_type": "password", "username": self._user, "password": password}
        try:
            self._ask(form)
        except SourceError as err:
            # All threads must not try a wrong password, lest the account be locked.
            again = float("inf") if isinstance(err, Refused) else time.monotonic() + RETRY_LOGIN_S
            self._failed = f"{err} (CDSE_USERNAME, CDSE_PASSWORD)", Secret(password), again
            raise SourceError(self._failed[0]) from None

    def _ask(self, form: dict[str, str]) -> None:
        asked = time.monotonic()
        form = {"client_id": CDSE_CLIENT, **form}
        answer = self._client.request("POST", self._endpoint, data=form)
        said = _json(answer)
        try:
            life, longer = float(said["expires_in"]), float(said.get("refresh_expires_in", 0))
            self._access = Secret(str(said["access_token"]))
            self._refresh = Secret(str(said.get("refresh_token", "")))
        except (KeyError, TypeError, ValueError) as err:
            raise _strange(answer, "access_token and expires_in") from err
        # Renewed when a tenth of its life is left: a minute of the usual ten.
        self._ends, self._refresh_ends = asked + 0.9 * life, asked + 0.9 * longer


class S3(httpx.Auth):
    """Turns `s3://bucket/key` into the endpoint's URL and signs it; unsigned without keys."""

    def __init__(self, endpoint: str, *, keys: tuple[Secret, Secret] | None) -> None:
        """Remember the endpoint and the access and secret key."""
        self._endpoint, self._keys = httpx.URL(endpoint), keys
        found = re.fullmatch(r"s3[.-]([a-z0-9-]+)\.amazonaws\.com", self._endpoint.host)
        self._region = found[1] if found else "default"

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        """Address the endpoint in path style, and sign what goes there."""
        if request.url.scheme == "s3":
            path = quote(f"/{request.url.host}{request.url.path}", safe="/-_.~")
            request.url = self._endpoint.copy_with(raw_path=path.encode())
            request.headers["Host"] = request.url.netloc.decode()
        ours = (self._endpoint.scheme, self._endpoint.netloc)
        if self._keys and (request.url.scheme, request.url.netloc) == ours:
            self._sign(request, *self._keys)
        yield request

    def _sign(self, request: httpx.Request, access: Secret, key: Secret) -> None:
        wanted = AWSRequest(request.method, str(request.url), data=request.content)
        if self._endpoint.host.endswith(".amazonaws.com"):
            # The Sentinel buckets on AWS let whoever asks pay.
            wanted.headers["x-amz-request-payer"] = "requester"
        credentials = Credentials(access.reveal(), key.reveal())
        S3SigV4Auth(credentials, "s3", self._region).add_auth(wanted)
        request.headers.update(dict(wanted.headers.items()))


class OpenAQ(httpx.Auth):
    """Adds the API key to requests to OpenAQ, and to no others."""

    def __init__(self, root: str, key: Secret) -> None:
        """Remember whom the key is for."""
        self._netloc, self._key = _netloc(root), key

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        """Add the key."""
        if request.url.netloc.decode() == self._netloc:
            request.headers["X-API-Key"] = self._key.reveal()
        yield request


@cache
def _session(endpoint: str, user: str) -> OpenIdConnect:
    """Return the one login of this process for an account."""
    return OpenIdConnect(endpoint, user)


def _s3_keys() -> tuple[Secret, Secret] | None:
    names = ("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY")
    if not any(os.environ.get(name) for name in names):
        return None
    access, key = (Secret(secret(name)) for name in names)
    return access, key


def _setting(variable: str, usual: str) -> str:
    return os.environ.get(variable, "").strip() or usual


def _netloc(url: str) -> str:
    return httpx.URL(url).netloc.decode()


def _container(url: httpx.URL) -> str:
    """Return `account/container` of a file in Azure Blob Storage."""
    return f"{url.host.partition('.')[0]}/{url.path.split('/')[1]}"


def _json(answer: httpx.Response) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError:
        return None


def _strange(answer: httpx.Response, wanted: str) -> SourceError:
    url = answer.request.url.copy_with(query=None)
    return SourceError(f"{url} answers without {wanted}: it may be down, try again later")
