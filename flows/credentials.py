"""Credentials of sources from Prefect blocks, where the environment does not hold them."""

import os

from prefect.blocks.system import Secret

from aqgeo.remote import auth


def load() -> None:
    """Put the value of each Secret block into the environment variable that it stands for.

    The block of `CDSE_USERNAME` is named `cdse-username`. What the environment holds already wins,
    and a block that does not exist is left out: only the source that needs it can tell.
    """
    for variable in auth.ENVIRONMENT:
        if variable not in os.environ:
            try:
                block = Secret.load(variable.lower().replace("_", "-"))
            except ValueError:
                continue
            os.environ[variable] = str(block.get())  # type: ignore[union-attr]
