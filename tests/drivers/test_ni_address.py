"""NI addresses, and what is said where NI's software is not there; nothing of NI's is asked for."""

import sys

import pytest
from balancecore.drivers.ni_daqmx import NiDevice

from balancecore.capture import open_device
from balancecore.errors import DataError, DeviceNotFoundError, DriverUnavailableError


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ni:Dev1/ai0:3?range_v=10,5", "2 values for 4 channels"),
        ("ni:Dev1/ai0?range_v=ten", "range_v"),
        ("ni:Dev1/ai0?range_v=-1", "range_v"),
        ("ni:Dev1/ai0?terminal=double", "terminal.*diff"),
        ("ni:Dev1/ai0?input=current", "input.*bridge"),
        ("ni:Dev1/ai0?bridge=eighth", "bridge"),
        ("ni:Dev1/ai0?trigger_edge=both", "trigger_edge"),
        ("ni:Dev1/ai0?rate_hz=0", "rate_hz"),
        ("ni:Dev1/ai0?reads_hz=500", "reads_hz"),
        ("ni:Dev1/ai0?buffer_s=0.01", "buffer_s"),
        ("ni:Dev1/ai3:0", "upwards"),
        ("ni:Dev1/ai0:3,Dev1/ai2", "Dev1/ai2 is named twice"),
        ("ni:Dev1/ao0", "analog inputs"),
        ("ni://host:31763/Dev1/ai0", "no host"),
        ("ni+grpc:Dev1/ai0", "a server is wanted"),
    ],
)
def test_address_is_read_before_anything_is_asked(address, words):
    with pytest.raises(DataError, match=words):
        NiDevice(address)


def test_no_server():
    with pytest.raises(DeviceNotFoundError, match="doesn't answer"):
        open_device("ni+grpc://127.0.0.1:9/Dev1/ai0")


def test_port_of_a_server_may_be_left_out(monkeypatch):
    monkeypatch.setattr("balancecore.drivers.ni_daqmx.PORT", 9)
    with pytest.raises(DeviceNotFoundError, match=r"127\.0\.0\.1:9 doesn't answer"):
        open_device("ni+grpc://127.0.0.1/Dev1/ai0")


def test_no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    with pytest.raises(DriverUnavailableError, match=r"balancecore\[ni\]"):
        open_device("ni:Dev1/ai0")
    assert "balancecore[ni]" in NiDevice.discover().advice[0]


@pytest.mark.parametrize(
    ("error", "words"), [("DaqNotFoundError", "not installed.*ni.com"), ("DaqNotSupportedError", "grpc")]
)
def test_no_driver_or_none_for_this_platform(monkeypatch, error, words):
    errors = pytest.importorskip("nidaqmx.errors")

    def load(_self):
        raise getattr(errors, error)("no")

    monkeypatch.setattr("nidaqmx._lib.DaqLibImporter._import_lib", load)
    monkeypatch.setattr("nidaqmx._lib.lib_importer._windll", None)
    monkeypatch.setattr("nidaqmx._lib.lib_importer._cdll", None)
    with pytest.raises(DriverUnavailableError, match=words):
        open_device("ni:Dev1/ai0")
    (advice,) = NiDevice.discover().advice
    assert "ni+grpc://" in advice
