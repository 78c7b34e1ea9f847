"""How requests to each service are signed, with keys from environment variables only."""

import httpx


def of(name: str) -> httpx.Auth | None:
    """Return what signs requests for a value of `Source.auth`; None for `none`.

    Raises:
        SourceError: an environment variable is missing; the message names it.
    """
    raise NotImplementedError


def secret(variable: str) -> str:
    """Return an environment variable that holds a key.

    Raises:
        SourceError: it is missing or empty.
    """
    raise NotImplementedError
