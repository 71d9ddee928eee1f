"""From a measuring device to a recording: devices, rigs, acquisition, recording."""

from balancecore.capture.acquisition import (
    Acquisition,
    BlockTime,
    Statistics,
    Tap,
    TapStatistics,
    TimedBlock,
)
from balancecore.capture.check import CheckLine, DeviceCheck, check_device
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
from balancecore.capture.recorded import Mark, Recording
from balancecore.capture.recording import Recorder, RecordingWriter
from balancecore.capture.rig import Rig, RigTare, load_rig
from balancecore.capture.treadmill import (
    BeltCommand,
    BeltLimits,
    BeltLink,
    BeltState,
    Treadmill,
    belt_values,
    open_treadmill,
)

__all__ = [
    "Acquisition",
    "Address",
    "BeltCommand",
    "BeltLimits",
    "BeltLink",
    "BeltState",
    "BlockTime",
    "Channel",
    "CheckLine",
    "Description",
    "Device",
    "DeviceCheck",
    "Discovery",
    "Found",
    "Mark",
    "Option",
    "Recorder",
    "Recording",
    "RecordingWriter",
    "Rig",
    "RigTare",
    "Statistics",
    "Tap",
    "TapStatistics",
    "TimedBlock",
    "Treadmill",
    "belt_values",
    "check_device",
    "list_devices",
    "load_rig",
    "open_device",
    "open_treadmill",
]
