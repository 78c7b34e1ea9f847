"""HDF5 files looked at, before netCDF opens them, for links out of the file or in a circle."""

import ctypes
from importlib import import_module
from pathlib import Path

from aqgeo.errors import SourceError

_LINKS = 20_000
"""More links than this are refused; an official granule has about 430 (counted)."""
_ID = ctypes.c_int64
_VISITOR = ctypes.PYFUNCTYPE(ctypes.c_int, _ID, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p)
# Numbers of H5Lpublic.h, H5Opublic.h and H5Dpublic.h, HDF5 1.12 and later.
_NATIVE_ORDER, _BASIC, _VIRTUAL = 2, 1, 3
_TOKEN, _LINK_TOKEN, _OBJECT_TOKEN = 16, 24, 8  # bytes; place in H5L_info2_t and H5O_info2_t
_OPEN = {"H5Fopen", "H5Dopen2", "H5Dget_create_plist"}  # return an id
_ARGUMENTS = {
    "H5Fopen": (ctypes.c_char_p, ctypes.c_uint, _ID),
    "H5Fclose": (_ID,),
    "H5Eset_auto2": (_ID, ctypes.c_void_p, ctypes.c_void_p),
    "H5Oget_info3": (_ID, ctypes.c_void_p, ctypes.c_uint),
    "H5Lvisit2": (_ID, ctypes.c_int, ctypes.c_int, _VISITOR, ctypes.c_void_p),
    "H5Dopen2": (_ID, ctypes.c_char_p, _ID),
    "H5Dget_create_plist": (_ID,),
    "H5Pget_external_count": (_ID,),
    "H5Pget_layout": (_ID,),
    "H5Pclose": (_ID,),
    "H5Dclose": (_ID,),
}


def refuse(path: Path) -> None:
    """Refuse a file that is more than a tree of its own data.

    netCDF follows links into other files, whatever they are, and a group that holds itself keeps
    it busy without end. Official granules have neither. A file that is no HDF5 passes, since
    opening it tells more.

    Raises:
        SourceError: a link is soft or leads out of the file, an object is linked twice, data lie
            in another file, or there are too many links.
    """
    library = _library()
    if library is None:
        return
    library.H5Eset_auto2(0, None, None)  # else HDF5 prints every failure
    file = library.H5Fopen(bytes(path), 0, 0)
    if file < 0:
        return
    try:
        why = _why(library, file)
    finally:
        library.H5Fclose(file)
    if why:
        raise SourceError(f"{path}: {why}, which no official granule does: fetch it again")


def _library() -> ctypes.PyDLL | None:
    """Return the HDF5 that netCDF4 itself uses; None where it cannot be reached."""
    try:
        library = ctypes.PyDLL(
            import_module("netCDF4._netCDF4").__file__
        )  # finds what it is linked with, too
        for name, arguments in _ARGUMENTS.items():
            function = getattr(library, name)
            function.argtypes = arguments
            function.restype = _ID if name in _OPEN else ctypes.c_int
        library.H5open()
    except (OSError, AttributeError):
        return None
    return library


def _why(library: ctypes.PyDLL, file: int) -> str:
    """Return what is wrong with the links of an open file; empty if nothing is."""
    about = ctypes.create_string_buffer(512)
    library.H5Oget_info3(file, about, _BASIC)
    seen = {about.raw[_OBJECT_TOKEN : _OBJECT_TOKEN + _TOKEN]}
    names: list[bytes] = []
    why: list[str] = []

    def visit(_group: int, name: bytes, info: int, _data: int | None) -> int:
        token = ctypes.string_at(info + _LINK_TOKEN, _TOKEN)
        shown = repr(name.decode("utf-8", "replace"))[:80]
        if ctypes.c_int.from_address(info).value:  # 0 is a hard link
            why.append(f"{shown} is a link to another place")
        elif token in seen:
            why.append(f"{shown} is linked twice or holds itself")
        elif len(names) == _LINKS:
            why.append(f"it has more than {_LINKS} links")
        seen.add(token)
        names.append(name)
        return len(why)  # anything but 0 ends the visit

    library.H5Lvisit2(file, 0, _NATIVE_ORDER, _VISITOR(visit), None)
    return why[0] if why else _elsewhere(library, file, names)


def _elsewhere(library: ctypes.PyDLL, file: int, names: list[bytes]) -> str:
    for name in names:
        dataset = library.H5Dopen2(file, name, 0)
        if dataset < 0:  # a group, or a dataset that netCDF will not open either
            continue
        plan = library.H5Dget_create_plist(dataset)
        outside = library.H5Pget_external_count(plan) > 0
        outside |= library.H5Pget_layout(plan) == _VIRTUAL
        library.H5Pclose(plan)
        library.H5Dclose(dataset)
        if outside:
            return f"the data of {name.decode('utf-8', 'replace')!r} lie in another file"
    return ""
