"""pyusb's own interface for backends, in front of whatever carries transfers to a device.

What carries them is an *attachment*: an object with `control`, `bulk_in` and `bulk_out`, each with a time-out in
seconds. `Wire` is the shortest one, straight to a model; `usbip.Attachment` goes through a socket.
"""

from __future__ import annotations

import errno
import struct
import time
from types import SimpleNamespace

import usb.backend
from usb.core import USBError, USBTimeoutError

from .models import Gone, Stall

DEVICE = (
    "bLength bDescriptorType bcdUSB bDeviceClass bDeviceSubClass bDeviceProtocol bMaxPacketSize0 idVendor"
)
DEVICE += " idProduct bcdDevice iManufacturer iProduct iSerialNumber bNumConfigurations"
#: How long an answer to a standard request may take, s: long, for servers in a thread of a busy machine.
ANSWER_S = 20.0
CONFIGURATION = "bLength bDescriptorType wTotalLength bNumInterfaces bConfigurationValue iConfiguration"
CONFIGURATION += " bmAttributes bMaxPower"
INTERFACE = "bLength bDescriptorType bInterfaceNumber bAlternateSetting bNumEndpoints bInterfaceClass"
INTERFACE += " bInterfaceSubClass bInterfaceProtocol iInterface"
ENDPOINT = "bLength bDescriptorType bEndpointAddress bmAttributes wMaxPacketSize bInterval"


def parsed(names, form, data):
    values = dict(zip(names.split(), struct.unpack_from(form, data), strict=True))
    return SimpleNamespace(**values, extra_descriptors=b"")


class Wire:
    """A model at the end of a cable: a host that polls it, and gives up in time."""

    def __init__(self, model):
        self.model = model

    def control(self, kind, request, value, index, data_or_length, timeout_s):
        try:
            return self.model.control(kind, request, value, index, data_or_length)
        except Stall:
            raise failed(errno.EPIPE) from None
        except Gone:
            raise failed(errno.ENODEV) from None

    def bulk_in(self, endpoint, length, timeout_s):
        got = bytearray()
        until_s = time.monotonic() + timeout_s
        while len(got) < length:
            try:
                data, short = self.model.bulk_in(endpoint, length - len(got))
            except Stall:
                raise failed(errno.EPIPE) from None
            except Gone:
                raise failed(errno.ENODEV) from None
            got += data
            if short:
                break
            if not data:
                if time.monotonic() >= until_s:
                    break
                time.sleep(0.0005)
        if not got:
            raise failed(errno.ETIMEDOUT)
        return bytes(got)

    def bulk_out(self, endpoint, data, timeout_s):
        try:
            self.model.bulk_out(endpoint, data)
        except Stall:
            raise failed(errno.EPIPE) from None
        except Gone:
            raise failed(errno.ENODEV) from None


def failed(number):
    kind = USBTimeoutError if number == errno.ETIMEDOUT else USBError
    return kind(errno.errorcode[number], None, number)


class Handle:
    def __init__(self, attachment):
        self.attachment = attachment
        self.open = True


class Backend(usb.backend.IBackend):
    """Devices that are reached by attachments; a device has one user at a time, as with usbfs.

    Parameters
    ----------
    attachments : function
        Gives the list of what is attached now.
    forbidden : bool
        Whether opening is refused, as without a udev rule.
    """

    def __init__(self, attachments, forbidden=False):
        super().__init__()
        self.attachments = attachments
        self.forbidden = forbidden
        #: Who has claimed what; and every handle that is open.
        self.claims = {}
        self.handles = set()

    def enumerate_devices(self):
        return iter(self.attachments())

    def get_device_descriptor(self, dev):
        found = parsed(DEVICE, "<BBHBBBBHHHBBBB", dev.control(0x80, 6, 0x100, 0, 18, ANSWER_S))
        vars(found).update(address=1, bus=1, port_number=1, port_numbers=(1,), speed=2)
        return found

    def configuration(self, dev):
        data = dev.control(0x80, 6, 0x200, 0, 255, ANSWER_S)
        return data, parsed(CONFIGURATION, "<BBHBBBBB", data)

    def get_configuration_descriptor(self, dev, config):
        if config:
            raise IndexError(config)
        return self.configuration(dev)[1]

    def get_interface_descriptor(self, dev, intf, alt, config):
        if intf or alt or config:
            raise IndexError(intf)
        return parsed(INTERFACE, "<9B", self.configuration(dev)[0][9:])

    def get_endpoint_descriptor(self, dev, ep, intf, alt, config):
        data = self.configuration(dev)[0][18 + 7 * ep :]
        found = parsed(ENDPOINT, "<BBBBHB", data)
        vars(found).update(bRefresh=0, bSynchAddress=0)
        return found

    def open_device(self, dev):
        if self.forbidden:
            raise failed(13)
        handle = Handle(dev)
        self.handles.add(handle)
        return handle

    def close_device(self, dev_handle):
        dev_handle.open = False
        self.handles.discard(dev_handle)
        for device in [d for d, h in self.claims.items() if h is dev_handle]:
            del self.claims[device]

    def get_configuration(self, dev_handle):
        return dev_handle.attachment.control(0x80, 8, 0, 0, 1, ANSWER_S)[0]

    def set_configuration(self, dev_handle, config_value):
        dev_handle.attachment.control(0x00, 9, config_value, 0, b"", ANSWER_S)

    def claim_interface(self, dev_handle, intf):
        if self.claims.setdefault(dev_handle.attachment, dev_handle) is not dev_handle:
            raise failed(errno.EBUSY)

    def release_interface(self, dev_handle, intf):
        if self.claims.get(dev_handle.attachment) is dev_handle:
            del self.claims[dev_handle.attachment]

    def is_kernel_driver_active(self, dev_handle, intf):
        return False

    def bulk_read(self, dev_handle, ep, intf, buff, timeout):
        self.check(dev_handle)
        assert len(buff) % 64 == 0, "libusb would report an overflow"
        data = dev_handle.attachment.bulk_in(ep, len(buff), timeout / 1000 or float("inf"))
        memoryview(buff).cast("B")[: len(data)] = data
        return len(data)

    def bulk_write(self, dev_handle, ep, intf, data, timeout):
        self.check(dev_handle)
        dev_handle.attachment.bulk_out(ep, bytes(data), timeout / 1000)
        return len(data)

    def check(self, handle):
        assert handle.open
        assert self.claims.get(handle.attachment) is handle, "the interface isn't claimed"

    def ctrl_transfer(self, dev_handle, bmRequestType, bRequest, wValue, wIndex, data, timeout):
        assert dev_handle.open
        wire = dev_handle.attachment
        if bmRequestType & 0x80:
            got = wire.control(bmRequestType, bRequest, wValue, wIndex, len(data), timeout / 1000)
            memoryview(data).cast("B")[: len(got)] = got
            return len(got)
        wire.control(bmRequestType, bRequest, wValue, wIndex, bytes(data), timeout / 1000)
        return len(data)

    def clear_halt(self, dev_handle, ep):
        dev_handle.attachment.control(0x02, 1, 0, ep, b"", ANSWER_S)
