from importlib.util import find_spec

import pytest

# Without the extra 'usb' there is no pyusb, on which these tests and their simulators stand.
collect_ignore_glob = [] if find_spec("usb") else ["test_*.py"]


@pytest.fixture(params=["wire", "usbip"])
def plug(request, monkeypatch):
    """A function that plugs models in: on a simulated cable, or behind a USB/IP server."""
    from balancecore.drivers._usb import UsbDevice

    from . import usbip
    from .backend import Backend, Wire

    closing = []

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
