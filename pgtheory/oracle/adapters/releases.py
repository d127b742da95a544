"""Which release of another library is installed, and whether an adapter knows it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version


def installed_release(package: str) -> str | None:
    """The package's version, if it is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def refuse_unknown(package: str, found: str | None, tested: Sequence[str], known: str) -> None:
    """Refuse a missing package, and releases (major.minor) other than those whose ``known`` parts were tested.

    Raises
    ------
    ImportError
        Naming the release to install, or the one that was found.
    """
    if found is None:
        raise ImportError(f"{package} must be installed: pip install '{package}=={tested[-1]}.*'")
    if ".".join(found.split(".")[:2]) not in tested:
        raise ImportError(
            f"{package} must be of release {' or '.join(tested)}, whose {known} known; found {found}"
        )
