"""What balancecore raises.

Every error is also the standard type that a caller would catch anyway::

    BalanceCoreError
    ├── DataError           also ValueError    the input can't be analysed; says what and where
    ├── MissingExtraError   also ImportError   an optional package is not installed; says which extra
    └── DeviceError                            measuring failed, not the analysis
        └── OverrunError    also BufferError   frames came faster than they were taken; says how many
"""

__all__ = ["BalanceCoreError", "DataError", "DeviceError", "MissingExtraError", "OverrunError"]


class BalanceCoreError(Exception):
    """Base of everything that balancecore raises on purpose."""


class DataError(BalanceCoreError, ValueError):
    """The input can't be read or analysed; the message says what is wrong and where."""


class MissingExtraError(BalanceCoreError, ImportError):
    """An optional package is not installed; the message says what to install."""


class DeviceError(BalanceCoreError):
    """Base of what goes wrong while frames are being measured."""


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
