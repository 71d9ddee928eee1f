"""balancecore: left/right loading from force plates and instrumented treadmills."""

import logging as _logging

from balancecore import errors, live, plates, plot, simulate
from balancecore._ext._ring import RingBuffer
from balancecore._version import __version__
from balancecore.capture import Acquisition, Recorder, list_devices, open_device
from balancecore.conditions import compare_conditions
from balancecore.contacts import Contacts, find_contacts
from balancecore.flags import Flag
from balancecore.gait import GaitResult, analyze_gait, step_metrics
from balancecore.inspection import Inspection, inspect
from balancecore.io import read, write
from balancecore.many import BatchResult, analyze_many
from balancecore.steps import StepTable
from balancecore.stream import ContactEvent, GaitStream
from balancecore.symmetry import compare_limbs, convert_index, symmetry_index, waveform_symmetry
from balancecore.tidy import TidyTable
from balancecore.trial import Analog, Block, Event, Layout, Markers, Plate, Trial

__all__ = [
    "Acquisition",
    "Analog",
    "BatchResult",
    "Block",
    "ContactEvent",
    "Contacts",
    "Event",
    "Flag",
    "GaitResult",
    "GaitStream",
    "Inspection",
    "Layout",
    "Markers",
    "Plate",
    "Recorder",
    "RingBuffer",
    "StepTable",
    "TidyTable",
    "Trial",
    "__version__",
    "analyze_gait",
    "analyze_many",
    "compare_conditions",
    "compare_limbs",
    "convert_index",
    "errors",
    "find_contacts",
    "inspect",
    "list_devices",
    "live",
    "open_device",
    "plates",
    "plot",
    "read",
    "simulate",
    "step_metrics",
    "symmetry_index",
    "waveform_symmetry",
    "write",
]

_logging.getLogger("balancecore").addHandler(_logging.NullHandler())
