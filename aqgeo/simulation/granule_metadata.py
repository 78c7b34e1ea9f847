"""Groups and attributes in METADATA of a Sentinel-5P L2 NO2 granule.

Names and settings are those of the real product (OFFL, processor 1.3.2), whose groups mirror the
tree of an ISO 19115 record; what the simulation knows better (orbit, times, names) is filled in.
"""

from datetime import datetime
from typing import Any

import numpy as np

from aqgeo.simulation import swath as orbits
from aqgeo.simulation.swath import Swath

Tree = dict[str, Any]
"""Nested: a dict is a group, anything else an attribute."""

VERSION = "2.6.0"
TITLE = "TROPOMI/S5P NO2 1-Orbit L2 Swath {}, simulated"
_MAKER = "aqgeo"
_PRODUCT = "urn:ogc:def:EOP:ESA:SENTINEL.S5P_TROP_L2__NO2___"
_GMX = "http://www.isotc211.org/2005/resources/Codelist/gmxCodelists.xml"
_ABOUT = "Simulated tropospheric column of nitrogen dioxide over an invented world with known truth"
_LICENCE = "CC0-1.0"
_BETWEEN = " | "
# Description, level and file name of what a real granule is made from.
_SOURCES = (
    ("Auxiliary CTM AUX_CTMANA model data", "N/A"),
    ("Auxiliary ECMWF AUX_MET_2D Meteorological forecast data", "L4"),
    ("Auxiliary AUX_NISE__ reference data", "L3"),
    ("Processor CFG_NO2___ configuration file", "N/A"),
    ("TROPOMI L1B L1B_IR_UVN irradiance product", "L1B"),
    ("TROPOMI L1B L1B_RA_BD4 radiance product", "L1B"),
    ("TROPOMI L2 L2__AER_AI product", "N/A"),
    ("TROPOMI L2 L2__FRESCO product", "N/A"),
    ("Auxiliary LUT_NO2AMF algorithm lookup table", "N/A"),
    ("Auxiliary LUT_NO2CLD algorithm lookup table", "N/A"),
    ("Auxiliary REF_DEM___ reference data", "N/A"),
    ("Auxiliary REF_LER___ reference data", "N/A"),
    ("Auxiliary REF_SOLAR_ reference data", "N/A"),
    ("Auxiliary REF_XS_NO2 reference data", "N/A"),
)
_SETTINGS = """
NO2DOAS.H2O_liquid.output.name=water_liquid | NO2DOAS.H2O_vapor.output.name=water
NO2DOAS.NO2.output.name=nitrogendioxide | NO2DOAS.NO2.reference_temperature=-1.0
NO2DOAS.O2O2.output.name=oxygen_oxygen_dimer | NO2DOAS.O3.output.name=ozone
NO2DOAS.O3.reference_temperature=-1.0 | NO2DOAS.background_offset.polynomial_order=1
NO2DOAS.convergence_threshold=0.99 | NO2DOAS.include_offset=false | NO2DOAS.include_ring=true
NO2DOAS.initial_guess.H2O_liquid=0.0 | NO2DOAS.initial_guess.H2O_vapor=1.5e+3
NO2DOAS.initial_guess.NO2=1.2e-5 | NO2DOAS.initial_guess.O2O2=8.0e+5
NO2DOAS.initial_guess.O3=3.6e-1 | NO2DOAS.initial_guess.a0=1.0 | NO2DOAS.initial_guess.a1=0.125
NO2DOAS.initial_guess.a2=0.015625 | NO2DOAS.initial_guess.a3=0.015625
NO2DOAS.initial_guess.a4=0.015625 | NO2DOAS.initial_guess.a5=0.015625
NO2DOAS.initial_guess.c0=1.0 | NO2DOAS.initial_guess.c1=0.125
NO2DOAS.initial_guess.c2=0.015625 | NO2DOAS.initial_guess.c3=0.015625
NO2DOAS.initial_guess.ring=0.06 | NO2DOAS.intensity_offset_scalefactor=1.0
NO2DOAS.max_iterations=20 | NO2DOAS.polynomial_order=5
NO2DOAS.reference_cross_sections_key=REF_XS_NO2 | NO2DOAS.scale_precision_with_chisq=true
NO2DOAS.sigma.H2O_liquid=20.0 | NO2DOAS.sigma.H2O_vapor=1.0e+4 | NO2DOAS.sigma.NO2=1.0e-2
NO2DOAS.sigma.O2O2=2.0e+6 | NO2DOAS.sigma.O3=5.0e0 | NO2DOAS.sigma.a0=1.0
NO2DOAS.sigma.a1=0.125 | NO2DOAS.sigma.a2=0.015625 | NO2DOAS.sigma.a3=0.015625
NO2DOAS.sigma.a4=0.015625 | NO2DOAS.sigma.a5=0.015625 | NO2DOAS.sigma.c0=1.0
NO2DOAS.sigma.c1=0.125 | NO2DOAS.sigma.c2=0.015625 | NO2DOAS.sigma.c3=0.015625
NO2DOAS.sigma.ring=0.2 | NO2DOAS.species=NO2, O3, O2O2, H2O_vapor, H2O_liquid
NO2DOAS.wavelength_end=465.0 | NO2DOAS.wavelength_start=405.0
configuration.version.algorithm=1.3.0 | configuration.version.framework=1.2.0 | input.1.band=4
input.1.irrType=L1B_IR_UVN | input.1.type=L1B_RA_BD4 | input.2.band=6 | input.2.required=false
input.2.type=L2__FRESCO | input.3.band=3 | input.3.type=L2__AER_AI | input.4.band=3
input.4.required=false | input.4.type=L2__CLOUD_ | input.5.band=4 | input.5.required=false
input.5.type=L2__O22CLD | input.count=5 | output.1.band=4
output.1.config=cfg/product/product.NO2___.xml | output.1.level=0 | output.1.type=L2__NO2___
output.compressionLevel=3 | output.count=1
output.histogram.nitrogendioxide_stratospheric_column.logarithmic=false
output.histogram.nitrogendioxide_stratospheric_column.range=0,0.000166054
output.histogram.nitrogendioxide_total_column.logarithmic=true
output.histogram.nitrogendioxide_total_column.range=1.66054e-06,0.00166054
output.histogram.nitrogendioxide_tropospheric_column.logarithmic=true
output.histogram.nitrogendioxide_tropospheric_column.range=1.66054e-06,0.00166054
output.useCompression=true | output.useFletcher32=true | output.useShuffleFilter=true
processing.NO2_scd_limit=-20.0e-6 | processing.algorithm=NO2___
processing.cloud_wavelength=440.0 | processing.cloud_wavelength_delta=1.0
processing.correct_surface_pressure_for_altitude=true | processing.fitWindowExtent=3
processing.groupDem=DEM_RADIUS_05000 | processing.groupLer=OMI
processing.irradFluxVarName=irradiance_flux_cf
processing.radRingFluxVarName=radiance_ring_flux_cf | processing.radianceFractionMinError=0.4
processing.radianceFractionMinWarning=0.8 | processing.reflectance_from_model=true
processing.reflectance_noise_floor=2500.0 | processing.saturationMaxFraction=0.01
processing.szaMax=88.0 | processing.szaMin=0.0 | processing.use_error_in_l1b=false
processing.vzaMax=75.0 | processing.vzaMin=0.0 | qa_value.AAI_warning=100.0
qa_value.altitude_consistency_warning=100.0
qa_value.amf_trop_geo_ratio_modification_percent=45.0
qa_value.amf_trop_geo_ratio_threshold=0.1
qa_value.cloud_radiance_fraction_modification_percent=74.0
qa_value.cloud_radiance_fraction_threshold=0.5 | qa_value.cloud_warning=100.0
qa_value.data_range_warning=100.0 | qa_value.deconvolution_warning=100.0
qa_value.extrapolation_warning=100.0 | qa_value.input_spectrum_warning=100.0
qa_value.interpolation_warning=90.0 | qa_value.low_cloud_fraction_warning=100.0
qa_value.maximum_aerosol_index_modification_percent=40.0
qa_value.maximum_aerosol_index_threshold=1.0e10
qa_value.minimum_scene_pressure_modification_percent=25.0
qa_value.minimum_scene_pressure_threshold=30000.0
qa_value.no2_scd_precision_modification_percent=15.0
qa_value.no2_scd_precision_threshold=33.0e-6 | qa_value.pixel_level_input_data_missing=90.0
qa_value.signal_to_noise_ratio_warning=100.0 | qa_value.snow_ice_max_modification_percent=73.0
qa_value.snow_ice_max_threshold=1 | qa_value.snow_ice_warning=100.0
qa_value.so2_volcanic_origin_certain_warning=100.0
qa_value.so2_volcanic_origin_likely_warning=100.0 | qa_value.south_atlantic_anomaly_warning=95.0
qa_value.sun_glint_correction=100.0 | qa_value.sun_glint_warning=93.0
qa_value.surface_albedo_modification_percent=20.0 | qa_value.surface_albedo_threshold=0.3
qa_value.sza_max_1_modification_percent=30.0 | qa_value.sza_max_1_threshold=81.2
qa_value.sza_max_2_modification_percent=10.0 | qa_value.sza_max_2_threshold=84.5
qa_value.wavelength_calibration_warning=100.0 | wavelength_calibration.convergence_threshold=1.0
wavelength_calibration.include_ring=yes | wavelength_calibration.include_stretch=no
wavelength_calibration.initial_guess.a0=1.0 | wavelength_calibration.initial_guess.a1=0.1
wavelength_calibration.initial_guess.a2=0.01 | wavelength_calibration.initial_guess.ring=0.06
wavelength_calibration.initial_guess.shift=0.0
wavelength_calibration.initial_guess.stretch=0.0 | wavelength_calibration.irr.include_ring=no
wavelength_calibration.max_iterations=12 | wavelength_calibration.perform_wavelength_fit=yes
wavelength_calibration.polynomial_order=2 | wavelength_calibration.sigma.a0=1.0
wavelength_calibration.sigma.a1=0.1 | wavelength_calibration.sigma.a2=0.01
wavelength_calibration.sigma.ring=0.06 | wavelength_calibration.sigma.shift=0.07
wavelength_calibration.sigma.stretch=0.07 | wavelength_calibration.window=405.0, 465.0
"""


def tree(swath: Swath) -> Tree:
    """Return the groups and attributes of METADATA."""
    return {
        "ALGORITHM_SETTINGS": _settings(),
        "GRANULE_DESCRIPTION": _granule(swath),
        "ISO_METADATA": _iso(swath),
        "EOP_METADATA": _eop(swath),
        "ESA_METADATA": {"earth_explorer_header": _header(swath)},
    }


def resolution(swath: Swath) -> str:
    """Return the size of a pixel at nadir as the titles name it."""
    return "5.5x3.5km2" if swath.line_s < 1 else "7x3.5km2"


def covered(swath: Swath) -> tuple[str, str]:
    """Return begin and end of the orbit's measurements as ISO 8601."""
    begin = swath.scan_start
    return stamp(begin), stamp(orbits.scan_end(swath.orbit))


def stamp(when: datetime) -> str:
    """Return an instant as ISO 8601 in whole seconds."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _settings() -> Tree:
    pairs = (p.split("=", 1) for line in _SETTINGS.split("\n") for p in line.split(_BETWEEN) if p)
    return {key.strip(): value for key, value in pairs}


def _granule(swath: Swath) -> Tree:
    begin, end = covered(swath)
    return {
        "GranuleStart": begin,
        "GranuleEnd": end,
        "InstrumentName": "TROPOMI",
        "MissionName": "Sentinel-5 precursor",
        "MissionShortName": "S5P",
        "ProcessLevel": "2",
        "ProcessingCenter": _MAKER,
        "ProcessingNode": _MAKER,
        "ProcessorVersion": VERSION,
        "ProductFormatVersion": np.int32(10100),
        "ProcessingMode": "Offline",
        "LongitudeOfDaysideNadirEquatorCrossing": np.float32(swath.node_lon),
        "ProductShortName": "L2__NO2___",
    }


def _iso(swath: Swath) -> Tree:
    return {
        "gmd:dateStamp": "2015-10-16",
        "gmd:fileIdentifier": _PRODUCT,
        "gmd:hierarchyLevelName": "EO Product Collection",
        "gmd:metadataStandardName": "ISO 19115-2 Geographic Information - Metadata Part 2 "
        "Extensions for imagery and gridded data",
        "gmd:metadataStandardVersion": "ISO 19115-2:2009(E), S5P profile",
        "objectType": "gmi:MI_Metadata",
        "gmd:language": {
            "codeList": "http://www.loc.gov/standards/iso639-2/",
            "codeListValue": "eng",
            "objectType": "gmd:LanguageCode",
        },
        "gmd:characterSet": _code("MD_CharacterSetCode", "utf8"),
        "gmd:hierarchyLevel": _code("MD_ScopeCode", "series"),
        "gmd:contact": _contact("pointOfContact"),
        "gmd:identificationInfo": _identification(swath),
        "gmd:dataQualityInfo": {
            "objectType": "gmd:DQ_DataQuality",
            "gmd:scope": {
                "objectType": "gmd:DQ_Scope",
                "gmd:level": _code("MD_ScopeCode", "dataset"),
            },
            "gmd:report": _conformance(),
            "gmd:lineage": _lineage(swath),
        },
        "gmi:acquisitionInformation": _acquisition(),
    }


def _identification(swath: Swath) -> Tree:
    begin, end = covered(swath)
    names = [f"{part}_mole_content_of_nitrogen_dioxide" for part in ("troposphere", "stratosphere")]
    names.append("atmosphere_mole_content_of_nitrogen_dioxide")
    return {
        "gmd:abstract": _ABOUT,
        "gmd:credit": _MAKER,
        "gmd:language": "eng",
        "gmd:topicCategory": "climatologyMeteorologyAtmosphere",
        "objectType": "gmd:MD_DataIdentification",
        "gmd:citation": {
            "gmd:title": TITLE.format(resolution(swath)),
            "objectType": "gmd:CI_Citation",
            "gmd:date": _date(_day(swath), "creation"),
            "gmd:identifier": _identifier(_PRODUCT),
        },
        "gmd:pointOfContact": _contact("distributor"),
        "gmd:descriptiveKeywords#1": {
            "gmd:keyword#1": "Atmospheric conditions",
            "objectType": "gmd:MD_Keywords",
            "gmd:type": _code("MD_KeywordTypeCode", "theme"),
            "gmd:thesaurusName": {
                "gmd:title": "GEMET - INSPIRE themes, version 1.0",
                "objectType": "gmd:CI_Citation",
                "gmd:date": _date("2008-06-01", "publication"),
            },
        },
        "gmd:descriptiveKeywords#2": {
            **{f"gmd:keyword#{n}": name for n, name in enumerate(names, 1)},
            "objectType": "gmd:MD_Keywords",
            "gmd:thesaurusName": {
                "gmd:title": "CF Standard Name Table v29",
                "xlink:href": "http://cfconventions.org/standard-names.html",
                "objectType": "gmd:CI_Citation",
                "gmd:date": _date("2015-07-08", "publication"),
            },
        },
        "gmd:resourceConstraints": {
            "gmd:useLimitation": _LICENCE,
            "objectType": "gmd:MD_LegalConstraints",
            "gmd:accessConstraints": _code("MD_RestrictionCode", "license"),
        },
        "gmd:spatialRepresentationType": _code("MD_SpatialRepresentationTypeCode", "grid"),
        "gmd:spatialResolution": {
            "gmd:distance": np.float32(10.0),
            "uom": "km",
            "objectType": "gmd:MD_Resolution",
        },
        "gmd:characterSet": _code("MD_CharacterSetCode", "utf8"),
        "gmd:extent": {
            "objectType": "gmd:EX_Extent",
            "gmd:geographicElement": {
                **box(swath),
                "gmd:extentTypeCode": "true",
                "objectType": "gmd:EX_GeographicBoundingBox",
            },
            "gmd:temporalElement": {
                "objectType": "gmd:EX_TemporalExtent",
                "gmd:extent": _interval(begin, end),
            },
        },
    }


def box(swath: Swath) -> Tree:
    """Return the bounds of the file's pixel centres; west is above east across the date line."""
    lon, lat = swath.centres[..., 0], swath.centres[..., 1]
    ahead = lon[lon >= 0] if np.ptp(lon) > 180 else lon
    behind = lon[lon < 0] if np.ptp(lon) > 180 else lon
    sides = (behind.max(), lat.max(), lat.min(), ahead.min())
    names = ("eastBoundLongitude", "northBoundLatitude", "southBoundLatitude", "westBoundLongitude")
    return {f"gmd:{n}": np.float32(v) for n, v in zip(names, sides, strict=True)}


def _conformance() -> Tree:
    return {
        "objectType": "gmd:DQ_DomainConsistency",
        "gmd:result": {
            "objectType": "gmd:DQ_ConformanceResult",
            "gmd:pass": "true",
            "gmd:explanation": "Simulated: conformity has not been evaluated",
            "gmd:specification": {
                "objectType": "gmd:CI_Citation",
                "gmd:title": "INSPIRE Data Specification on Orthoimagery - Guidelines, "
                "version 3.0rc3",
                "gmd:date": _date("2013-02-04", "publication"),
            },
        },
    }


def _lineage(swath: Swath) -> Tree:
    made = f"L2 NO2___ dataset produced by {_MAKER}"
    documents = ("ATBD of the total and tropospheric NO2 data products", "Product User Manual")
    return {
        "objectType": "gmd:LI_Lineage",
        "gmd:statement": f"{made} from an invented world",
        "gmd:processStep": {
            "objectType": "gmi:LE_ProcessStep",
            "gmd:description": f"Simulation of L2 NO2___ data for orbit {swath.orbit}",
            "gmi:output": {
                "gmd:description": TITLE.format(resolution(swath)),
                "objectType": "gmi:LE_Source",
                "gmd:sourceCitation": {
                    "gmd:title": swath.name,
                    "objectType": "gmd:CI_Citation",
                    "gmd:date": _date(_day(swath), "creation", "gmd:CI_DateTime"),
                    "gmd:identifier": _identifier("L2__NO2___"),
                },
                "gmi:processedLevel": _identifier("L2"),
            },
            "gmi:processingInformation": {
                "objectType": "gmi:LE_Processing",
                "gmi:identifier": _identifier(f"{_MAKER} L2 NO2___ simulation"),
                "gmi:softwareReference": {
                    "gmd:title": "L2 NO2___ simulation",
                    "objectType": "gmd:CI_Citation",
                    "gmd:date": _date(_day(swath), "creation", "gmd:CI_DateTime"),
                },
                **{
                    f"gmi:documentation#{n}": {
                        "objectType": "gmd:CI_Citation",
                        "gmd:title": f"TROPOMI {title}",
                        "doi": "N/A",
                        "gmd:date": _date("2015-11-30", "publication"),
                    }
                    for n, title in enumerate(documents, 1)
                },
            },
            "gmi:report": {
                "gmi:description": made,
                "gmi:fileType": "netCDF-4",
                "gmi:name": f"{swath.name}.nc",
                "objectType": "gmi:LE_ProcessStepReport",
            },
            **_sources(swath),
        },
    }


def _sources(swath: Swath) -> Tree:
    """Return what a real granule names as its sources; here only the level-2 orbits exist."""
    found = {
        f"gmd:source#{n}": {
            "objectType": "gmi:LE_Source",
            "gmd:description": title,
            "gmi:processedLevel": _identifier(level),
            "gmd:sourceCitation": _citation(stamp(swath.made), title, ["none: simulated"]),
        }
        for n, (title, level) in enumerate(_SOURCES, 1)
    }
    day = [f"{orbits.name(n)}.nc" for n in orbits.orbits_seen(swath.scan_start.date())]
    later = (("Auxiliary TM5 model restart file", ["none: simulated"]),)
    for n, (title, files) in enumerate((*later, ("Level 2 NO2 slant column data", day)), 15):
        citation = _citation("", title, files)
        del citation["gmd:date"]["gmd:date"]
        found[f"gmd:source#{n}"] = {
            "objectType": "gmi:LE_Source",
            "gmd:description": title,
            # Nested deeper than for the sources before, as in the real files.
            "gmi:processedLevel": {
                **_identifier("N/A"),
                "gmd:date": stamp(swath.made),
                "gmd:sourceCitation": citation,
            },
        }
    return found


def _citation(when: str, title: str, files: list[str]) -> Tree:
    return {
        "objectType": "gmd:CI_Citation",
        "gmd:date": _date(when, "creation"),
        "gmd:title": {"gco:characterString": title},
        **{f"gmd:alternateTitle#{n}": {"gmx:FileName": f} for n, f in enumerate(files, 1)},
    }


def _acquisition() -> Tree:
    agency = {"gmd:codeSpace": "http://www.esa.int/", "objectType": "gmd:RS_Identifier"}
    return {
        "objectType": "gmi:MI_AcquisitionInformation",
        "gmi:platform": {
            "gmi:description": "Sentinel 5 Precursor",
            "objectType": "gmi:MI_Platform",
            "gmi:identifier": {"gmd:code": "S5P", **agency},
            "gmi:instrument": {
                "objectType": "gmi:MI_Instrument",
                "gmi:type": "UV-VIS-NIR-SWIR imaging spectrometer",
                "gmi:identifier": {"gmd:code": "TROPOMI", **agency},
            },
        },
    }


def _eop(swath: Swath) -> Tree:
    return {
        "gml:id": f"{swath.name}.ID",
        "objectType": "atm:EarthObservation",
        "om:phenomenonTime": _interval(*covered(swath)),
        "om:procedure": {
            "gml:id": f"{swath.name}.EOE",
            "objectType": "eop:EarthObservationEquipment",
            "eop:platform": {"eop:shortName": "Sentinel-5p", "objectType": "eop:Platform"},
            "eop:instrument": {"eop:shortName": "TROPOMI", "objectType": "eop:Instrument"},
            "eop:sensor": {"eop:sensorType": "ATMOSPHERIC", "objectType": "eop:Sensor"},
            "eop:acquisitionParameters": {
                "eop:orbitNumber": np.int32(swath.orbit),
                "objectType": "eop:Acquisition",
            },
        },
        "om:observedProperty": {"nilReason": "inapplicable"},
        "om:featureOfInterest": {
            "objectType": "eop:FootPrint",
            "gml:id": f"{swath.name}.FP",
            "eop:multiExtentOf": {
                "objectType": "gml:MultiSurface",
                "gml:surfaceMembers": {
                    "objectType": "gml:Polygon",
                    "gml:exterior": {
                        "gml:posList": _outline(swath),
                        "objectType": "gml:LinearRing",
                    },
                },
            },
        },
        "eop:metaDataProperty": {
            "objectType": "eop:EarthObservationMetaData",
            "eop:acquisitionType": "NOMINAL",
            "eop:identifier": swath.name,
            "eop:doi": "none: simulated",
            "eop:parentIdentifier": _PRODUCT,
            "eop:productType": "S5P_OFFL_NO2___",
            "eop:status": "ACQUIRED",
            "eop:productQualityStatus": "NOMINAL",
            "eop:productQualityDegradationTag": "NOT APPLICABLE",
            "eop:processing": {
                "objectType": "eop:ProcessingInformation",
                "eop:processingCenter": _MAKER,
                "eop:processingDate": _day(swath),
                "eop:processingLevel": "L2",
                "eop:processorName": _MAKER,
                "eop:processorVersion": VERSION,
                "eop:nativeProductFormat": "netCDF-4",
                "eop:processingMode": "OFFL",
            },
        },
    }


def _outline(swath: Swath) -> str:
    """Return 'lat lon' pairs counter-clockwise round the file's pixels, closed."""
    e = swath.edges
    down, left = max(len(e) // 20, 1), max(e.shape[1] // 20, 1)
    ring = [e[0, :-1:left], e[:-1:down, -1], e[-1, :0:-left], e[:0:-down, 0], e[:1, 0]]
    return " ".join(f"{lat:.5f} {lon:.5f}" for lon, lat in np.concatenate(ring).tolist())


def _header(swath: Swath) -> Tree:
    begin, end = covered(swath)
    return {
        "objectType": "Earth_Explorer_Header",
        "fixed_header": {
            "objectType": "Fixed_Header",
            "File_Name": swath.name,
            "File_Description": _ABOUT,
            "Notes": "",
            "Mission": "S5P",
            "File_Class": "OFFL",
            "File_Type": "L2__NO2___",
            "File_Version": np.int32(1),
            "validity_period": {
                "objectType": "Validity_Period",
                "Validity_Start": f"UTC={begin[:-1]}",
                "Validity_Stop": f"UTC={end[:-1]}",
            },
            "source": {
                "objectType": "Source",
                "System": _MAKER,
                "Creator": _MAKER,
                "Creator_Version": VERSION,
                "Creation_Date": f"UTC={stamp(swath.made)[:-1]}",
            },
        },
        "variable_header": {
            "objectType": "Variable_Header",
            "gmd:lineage": _lineage(swath),
            "subsystem_information": {
                "objectType": "subsystem_information",
                "subsystem#0": {
                    "Authors": _MAKER,
                    "Email": "none",
                    "Institution": _MAKER,
                    "Name": _MAKER,
                    "Version": VERSION,
                    "VersionDate": _day(swath),
                },
            },
        },
    }


def _contact(role: str) -> Tree:
    return {
        "gmd:organisationName": _MAKER,
        "objectType": "gmd:CI_ResponsibleParty",
        "gmd:contactInfo": {
            "objectType": "gmd:CI_Contact",
            "gmd:address": {"gmd:electronicMailAddress": "none", "objectType": "gmd:CI_Address"},
        },
        "gmd:role": _code("CI_RoleCode", role),
    }


def _code(codes: str, value: str) -> Tree:
    return {"codeList": f"{_GMX}#{codes}", "codeListValue": value, "objectType": f"gmd:{codes}"}


def _date(when: str, meaning: str, kind: str = "gmd:CI_Date") -> Tree:
    dated = {"gmd:date": when, "objectType": kind}
    return {**dated, "gmd:dateType": _code("CI_DateTypeCode", meaning)}


def _identifier(code: str) -> Tree:
    return {"gmd:code": code, "objectType": "gmd:MD_Identifier"}


def _interval(begin: str, end: str) -> Tree:
    return {"gml:beginPosition": begin, "gml:endPosition": end, "objectType": "gml:TimePeriod"}


def _day(swath: Swath) -> str:
    return swath.made.strftime("%Y-%m-%d")
