"""From a measuring device to a recording: devices, rigs, acquisition, recording."""

from balancecore.capture.device import (
    Address,
    Channel,
    Description,
    Device,
    Discovery,
    Found,
    Option,
    list_devices,
    open_device,
)

__all__ = [
    "Address",
    "Channel",
    "Description",
    "Device",
    "Discovery",
    "Found",
    "Option",
    "list_devices",
    "open_device",
]
