"""balancecore: left/right loading from force plates and instrumented treadmills."""

from importlib.metadata import version as _version

from balancecore import errors
from balancecore.flags import Flag
from balancecore.io import read
from balancecore.trial import Plate, Trial

__version__ = _version("balancecore")

__all__ = ["Flag", "Plate", "Trial", "__version__", "errors", "read"]
