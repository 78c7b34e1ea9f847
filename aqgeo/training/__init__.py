"""Training: one file a task. Lightning needs the door that `aqgeo.models` opens."""

from aqgeo import models as models
