"""What balancecore raises.

Every error is also the standard type that a caller would catch anyway::

    BalanceCoreError
    ├── DataError                    also ValueError       the input can't be analysed; says what and where
    │   └── RigError                                       a rig file is wrong; names the key
    ├── MissingExtraError            also ImportError      an optional package is not installed; says which extra
    └── DeviceError                                        measuring failed, not the analysis
        ├── DriverUnavailableError   also ImportError      a driver, or what it needs, is not installed
        ├── DeviceNotFoundError      also LookupError      there is no such device
        ├── DeviceTimeoutError       also TimeoutError     the device doesn't answer
        ├── DeviceLostError          also ConnectionError  the device was there and is gone
        │   └── EndOfDataError       also EOFError         a replay has come to its end: nothing went wrong
        └── OverrunError             also BufferError      frames came faster than they were taken; says how many
"""

__all__ = [
    "BalanceCoreError",
    "DataError",
    "DeviceError",
    "DeviceLostError",
    "DeviceNotFoundError",
    "DeviceTimeoutError",
    "DriverUnavailableError",
    "EndOfDataError",
    "MissingExtraError",
    "OverrunError",
    "RigError",
]


class BalanceCoreError(Exception):
    """Base of everything that balancecore raises on purpose."""


class DataError(BalanceCoreError, ValueError):
    """The input can't be read or analysed; the message says what is wrong and where."""


class RigError(DataError):
    """A rig file can't be used; the message names the key."""


class MissingExtraError(BalanceCoreError, ImportError):
    """An optional package is not installed; the message says what to install."""


class DeviceError(BalanceCoreError):
    """Base of what goes wrong while frames are being measured."""


class DriverUnavailableError(DeviceError, ImportError):
    """A driver, or something that it needs, is not installed; the message says what to do."""


class DeviceNotFoundError(DeviceError, LookupError):
    """There is no such device."""


class DeviceTimeoutError(DeviceError, TimeoutError):
    """The device doesn't answer."""


class DeviceLostError(DeviceError, ConnectionError):
    """The device was there and is gone; what was read before stays valid."""


class EndOfDataError(DeviceLostError, EOFError):
    """A device that plays a recording has given its last frame; an end, and not a fault."""


class OverrunError(DeviceError, BufferError):
    """Frames came faster than they were taken.

    Attributes
    ----------
    frames_lost : int
        Frames that had no place.
    """

    def __init__(self, message: str = "", frames_lost: int = 0) -> None:
        super().__init__(message)
        self.frames_lost = frames_lost
