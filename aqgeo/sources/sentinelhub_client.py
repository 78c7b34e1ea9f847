"""The client of Sentinel Hub's library on our line, with one token for a process."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import requests
from sentinelhub.config import SHConfig
from sentinelhub.download.handlers import fail_user_errors, retry_temporary_errors
from sentinelhub.download.models import DownloadRequest, DownloadResponse
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.download.session import SentinelHubSession
from sentinelhub.exceptions import DownloadFailedException

from aqgeo.errors import SourceError
from aqgeo.remote import auth
from aqgeo.remote.hosts import Hosts
from aqgeo.sources.sentinelhub_line import MOST_JSON_BYTES, Line, Patience, host, refusal

# Where the two services hand out tokens (their documentation, chapter Authentication).
TOKEN_PATH = "/auth/realms/main/protocol/openid-connect/token"
TOKEN_URLS = {
    "services.sentinel-hub.com": f"https://services.sentinel-hub.com{TOKEN_PATH}",
    "creodias.sentinel-hub.com": f"https://services.sentinel-hub.com{TOKEN_PATH}",
    "sh.dataspace.copernicus.eu": "https://identity.dataspace.copernicus.eu"
    "/auth/realms/CDSE/protocol/openid-connect/token",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOCK = threading.RLock()
_SESSIONS: dict[tuple[str, str, str], "Session"] = {}


class Session(SentinelHubSession):
    """One token for many threads, renewed before it expires."""

    def __init__(self, config: SHConfig, line: Line) -> None:
        """Fetch the first token."""
        self._line, self._lock = line, threading.RLock()
        super().__init__(config)

    @property
    def token(self) -> dict[str, Any]:
        """The token, fresh for the next request."""
        with self._lock:
            token: dict[str, Any] = super().token
            return token

    def renew(self, refused: str) -> None:
        """Fetch a new token, unless another thread has replaced the one that was refused."""
        with self._lock:
            if self.session_headers["Authorization"] == refused:
                self._token = self._collect_new_token()

    @retry_temporary_errors
    @fail_user_errors
    def _fetch_token(self, request: DownloadRequest) -> dict[str, Any]:
        # The library's own way has no time-out and follows redirects with the secret.
        form = {
            "grant_type": "client_credentials",
            "client_id": self.config.sh_client_id,
            "client_secret": self.config.sh_client_secret,
        }
        reply = self._line.post(str(request.url), MOST_JSON_BYTES, data=form)
        reply.raise_for_status()
        try:
            told = reply.json()
            token, lasts = str(told["access_token"]), float(told["expires_in"])
        except (ValueError, KeyError, TypeError):
            lasts = 0
        if not 0 < lasts < math.inf:
            raise SourceError(f"{host(str(request.url))} gives no token: try again later")
        # A token of short life is not renewed at every request.
        self.refresh_before_expiry = min(self.DEFAULT_SECONDS_BEFORE_EXPIRY, lasts / 2)
        return {"access_token": token, "expires_at": time.time() + lasts}


class Client(SentinelHubDownloadClient):
    """The library's client on our line."""

    keep: Callable[[Path, bytes], None] | None = None
    """Takes the reply of a request that bears a `path`, so that no two groups are in memory."""

    def __init__(self, root: str, hosts: tuple[str, ...], patience: Patience) -> None:
        """Remember the keys; nothing is opened yet.

        Args:
            root: address of the service.
            hosts: those that may be opened.
            patience: how long is waited.

        Raises:
            SourceError: keys are missing, or the address is not that of a known service.
        """
        Hosts(hosts).check(httpx.URL(root))
        super().__init__(config=_config(root, patience))
        self.line = Line(hosts, patience)

    def get_session(self) -> Session:
        """Return the one session of this process for these keys."""
        key = (self.config.sh_token_url, self.config.sh_client_id, self.config.sh_client_secret)
        with _LOCK:
            if key not in _SESSIONS:
                _SESSIONS[key] = Session(self.config, self.line)
            return _SESSIONS[key]

    def _do_download(self, request: DownloadRequest) -> requests.Response:
        headers = self._prepare_headers(request)
        reply = self._post(request, headers)
        if reply.status_code == 401:
            self.get_session().renew(headers["Authorization"])
            reply = self._post(request, self._prepare_headers(request))
        return reply

    def _post(self, request: DownloadRequest, headers: dict[str, str]) -> requests.Response:
        limit = request.extra_params.get("limit", MOST_JSON_BYTES)
        return self.line.post(str(request.url), limit, json=request.post_values, headers=headers)

    def _process_response(self, request: DownloadRequest, reply: DownloadResponse) -> Any:
        if self.keep is None:
            return reply
        self.keep(request.extra_params["path"], reply.content)
        return reply.derive(content=b"")

    @contextmanager
    def plainly(self) -> Iterator[None]:
        """Turn what the library raises into one line without secrets."""
        try:
            yield
        except (DownloadFailedException, requests.RequestException) as err:
            cause = getattr(err, "request_exception", err)
            reply = getattr(cause, "response", None)
            if reply is not None:
                keys = (self.config.sh_client_secret, self.config.sh_client_id)
                raise refusal(reply, *keys) from None
            raise SourceError(
                f"{host(self.config.sh_base_url)} gives no whole reply in "
                f"{self.line.patience.attempts} tries ({type(cause).__name__}): try again later"
            ) from None


def _config(root: str, patience: Patience) -> SHConfig:
    """Return the library's settings, without its file in the home folder."""
    name = host(root)
    token_url = f"{root}{TOKEN_PATH}" if name in LOOPBACK else TOKEN_URLS.get(name)
    if token_url is None or not (root.startswith("https://") or name in LOOPBACK):
        raise SourceError(
            f"{root} is no Sentinel Hub service that is known: use https:// and "
            f"{' or '.join(TOKEN_URLS)}"
        )
    return SHConfig(
        use_defaults=True,
        sh_client_id=auth.secret("SH_CLIENT_ID"),
        sh_client_secret=auth.secret("SH_CLIENT_SECRET"),
        sh_base_url=root,
        sh_token_url=token_url,
        max_download_attempts=patience.attempts,
        download_sleep_time=patience.wait_s,
    )
