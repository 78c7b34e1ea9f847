"""Errors that a user can act on: what is wrong, the value met, what to do."""


class AqgeoError(Exception):
    """Base of every error that the command line prints as one line."""


class CatalogError(AqgeoError):
    """A name is in no catalog, or a catalog entry breaks its rules."""


class PeriodError(AqgeoError):
    """A text is no period of time, or the period is empty."""


class GridError(AqgeoError):
    """A grid cannot be made, or two grids do not match."""


class CubeError(AqgeoError):
    """A dataset breaks the law of cubes."""


class SourceError(AqgeoError):
    """An input is missing, broken or not what it claims to be."""


class EstimateError(AqgeoError):
    """The data do not suffice to fit or apply a model."""


class ProductError(AqgeoError):
    """A published file breaks the rules of map products."""


class WorkspaceError(AqgeoError):
    """A result cannot be read from or written to its place."""


class ModelError(AqgeoError):
    """Weights cannot be used, or an image is not what they take."""
