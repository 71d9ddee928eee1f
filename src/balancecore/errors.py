"""What balancecore raises.

Every error is also the standard type that a caller would catch anyway::

    BalanceCoreError
    ├── DataError           also ValueError    the input can't be analysed; says what and where
    └── MissingExtraError   also ImportError   an optional package is not installed; says which extra
"""

__all__ = ["BalanceCoreError", "DataError", "MissingExtraError"]


class BalanceCoreError(Exception):
    """Base of everything that balancecore raises on purpose."""


class DataError(BalanceCoreError, ValueError):
    """The input can't be read or analysed; the message says what is wrong and where."""


class MissingExtraError(BalanceCoreError, ImportError):
    """An optional package is not installed; the message says what to install."""
