"""Lightning is ready for tests: it needs a torchvision that opens, which our package sees to."""

import aqgeo.training  # noqa: F401
