import time
from importlib.util import find_spec

import pytest

from ..clock import Clock

# Without the extra 'usb' there is no pyusb, on which these tests and their simulators stand.
collect_ignore_glob = [] if find_spec("usb") else ["test_*.py"]


@pytest.fixture(params=["wire", "usbip"])
def plug(request, monkeypatch):
    """A function that plugs models in: on a simulated cable, or behind a USB/IP server."""
    from balancecore.drivers import labjack_u6, usb_1608fs_plus
    from balancecore.drivers._usb import UsbDevice

    from . import usbip
    from .backend import Backend, Wire

    closing = []
    if request.param == "usbip":
        # The server is a thread beside others: it may come late to its turn, which no device does.
        for driver in (labjack_u6, usb_1608fs_plus):
            monkeypatch.setattr(driver, "COMMAND_MS", 20_000)

    def plug(*plugged, **options):
        if request.param == "wire":
            attachments = [Wire(model) for model in plugged]
        else:
            server = usbip.Server(plugged)
            attachments = usbip.attach(server.address)
            closing.extend([*attachments, server])
            plug.server = server
        backend = Backend(lambda: attachments, **options)
        monkeypatch.setattr(UsbDevice, "_backend", staticmethod(lambda: backend))
        return backend

    yield plug
    for end in closing:
        end.close()


@pytest.fixture
def clock(request, plug, monkeypatch):
    """The time of devices and drivers: on the cable, where all is done by one thread, one that only their waits spend.

    Then whatever is measured by it is the same on any machine. Servers in threads need the real one.
    """
    if request.node.callspec.params["plug"] != "wire":
        return time
    from balancecore.drivers import _usb, usb_1608fs_plus

    from balancecore.capture import check

    from . import backend, models

    clock = Clock()
    for module in (_usb, usb_1608fs_plus, check, backend, models):
        monkeypatch.setattr(module, "time", clock)
    return clock
