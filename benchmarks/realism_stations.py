"""NO2 at stations: real means by type, and those of simulated tables."""

from pathlib import Path

import numpy as np
import pandas as pd

KINDS = tuple(
    (area, kind)
    for area in ("rural", "suburban", "urban")
    for kind in ("background", "industrial", "traffic")
)


def europe(data: Path) -> pd.DataFrame:
    """Return 2,674 European stations, means of 2018 to 2020: area, kind, no2 in ug m-3."""
    table = pd.read_csv(data / "mmaq_stations" / "pollutant_ssl.csv")
    area, kind = (
        table[list(names)].idxmax(axis=1)
        for names in (("rural", "suburban", "urban"), ("background", "industrial", "traffic"))
    )
    return pd.DataFrame({"area": area, "kind": kind, "no2": table["no2"]})


def rhythms(data: Path) -> dict[str, pd.Series]:
    """Return ratios of means of German and Dutch stations: weekend over week, night over day."""
    table = pd.read_csv(data / "stations_de_nl" / "ModellingDataset-Global.csv", sep=";")
    return {
        "weekend / week, day": table["wnd_day_value"] / table["wkd_day_value"],
        "weekend / week, night": table["wnd_night_value"] / table["wkd_night_value"],
        "night / day, week": table["wkd_night_value"] / table["wkd_day_value"],
    }


def means(hours: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each station of an hourly table: area, kind, no2 in ug m-3.

    Args:
        hours: columns location_id, station_area, station_type, value in ug m-3.
    """
    valid = hours[hours["value"].between(-5, 500)]
    groups = valid.groupby("location_id")
    return pd.DataFrame(
        {
            "area": groups["station_area"].first(),
            "kind": groups["station_type"].first(),
            "no2": groups["value"].mean(),
        }
    ).reset_index(drop=True)


def hourly_rhythms(hours: pd.DataFrame, hour_offset: float) -> dict[str, pd.Series]:
    """Return the same ratios as `rhythms` of an hourly table, one for each station.

    Args:
        hours: columns location_id, datetime (UTC), value in ug m-3.
        hour_offset: local solar time minus UTC in hours.
    """
    valid = hours[hours["value"].between(-5, 500)]
    when = pd.to_datetime(valid["datetime"], utc=True) + pd.Timedelta(hours=hour_offset)
    weekend, day = when.dt.day_of_week >= 5, when.dt.hour.between(7, 21)

    def mean(kept: pd.Series) -> pd.Series:
        return valid[kept].groupby("location_id")["value"].mean()

    return {
        "weekend / week, day": mean(weekend & day) / mean(~weekend & day),
        "weekend / week, night": mean(weekend & ~day) / mean(~weekend & ~day),
        "night / day, week": mean(~weekend & ~day) / mean(~weekend & day),
    }


def kind_values(table: pd.DataFrame, area: str, kind: str) -> np.ndarray:
    """Return the means of one kind of station in ug m-3."""
    return table.loc[(table["area"] == area) & (table["kind"] == kind), "no2"].to_numpy()
