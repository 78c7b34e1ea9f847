"""What sets one kind of simulated world apart from another."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of a world; all else follows from the seed, the place and the date."""

    name: str
    """The preset's name."""
    people: float = 1.0
    """Factor on the population of towns."""
    sea: bool = False
    """A coast runs through the domain, with beaches."""
    relief_m: float = 120.0
    """Standard deviation of the terrain in metres."""
    sand: float = 0.0
    """Share of open land that is bright sand, 0 to 1."""
    winter: bool = False
    """Mid-winter whatever the date: leafless, more heating, shallow mixing.

    The sun's place still follows from the date.
    """
    snow: float = 0.0
    """Share of open land under snow, 0 to 1; in winter presets only."""
    fires: int = 0
    """Fires that smoke, per 100 km x 100 km."""
    wind: float = 1.0
    """Factor on wind speed."""


PRESETS = {
    p.name: p
    for p in (
        Preset("city"),
        Preset("coast", sea=True, relief_m=180, sand=0.1, wind=1.2),
        Preset("plain", people=0.5, relief_m=15),
        Preset("winter", relief_m=300, winter=True, snow=0.6, wind=0.8),
        Preset("fires", people=0.6, relief_m=250, sand=0.05, fires=12),
    )
}
