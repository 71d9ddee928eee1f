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
from balancecore.capture.rig import Rig, RigTare, load_rig

__all__ = [
    "Address",
    "Channel",
    "Description",
    "Device",
    "Discovery",
    "Found",
    "Option",
    "Rig",
    "RigTare",
    "list_devices",
    "load_rig",
    "open_device",
]
