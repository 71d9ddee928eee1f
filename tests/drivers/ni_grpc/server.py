"""An NI gRPC Device Server on `engine`: NI's own service definition over real gRPC, in a process of its own.

``python server.py`` prints its port, obeys the lines of its standard input (``hang``, ``stall``, ``resume``,
``jump 20``, ``remove Dev1``, ``overload Dev1/ai3``, ``heal``) and ends with it. Semantics are those of NI's published
server (github.com/ni/grpc-device, MIT): a driver's error is status UNKNOWN with its code in the trailing metadata
``ni-error``; samples that didn't come in time are no error of the call but a status in a response, whose array has
its full length all the same.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
from engine import BRIDGE, TEXTS, VOLTAGE, Engine, NiError
from nidaqmx._stubs import nidaqmx_pb2 as pb
from nidaqmx._stubs import nidaqmx_pb2_grpc as service

GROUP_BY_CHANNEL = 0


def rpc(method):
    """A method of the service from one that gives the response's fields, or raises an `NiError`."""
    response = getattr(pb, f"{method.__name__}Response")

    def call(self, request, context):
        self.well.wait()
        try:
            with self.engine.lock:
                fields = method(self, request)
        except NiError as error:
            context.set_trailing_metadata((("ni-error", str(error.code)),))
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return response(**(fields or {}))

    return call


def getter(scope, kind):
    """Gets an attribute of `scope`, for all types of values."""

    def get(self, request):
        engine = self.engine
        told = {
            "SystemInfo": lambda: engine.system_attributes(),
            "Device": lambda: engine.device_attributes(request.device_name),
            "Task": lambda: engine.task_attributes(self.task(request)),
            "Timing": lambda: engine.timing_attributes(self.task(request)),
            "Read": lambda: engine.read_attributes(self.task(request)),
            "Buffer": lambda: engine.buffer_attributes(self.task(request)),
            "Chan": lambda: engine.chan_attributes(self.task(request), request.channel),
        }[scope]()
        if request.attribute_raw not in told:
            raise NiError(-200197)
        return {"value": told[request.attribute_raw]}

    get.__name__ = f"Get{scope}Attribute{kind}"
    return get


class Service(service.NiDAQmxServicer):
    def __init__(self):
        self.engine = Engine()
        self.well = threading.Event()
        self.well.set()

    def heal(self):
        """As if just started."""
        for task in self.engine.running():
            task.stop()
        self.engine = Engine()
        self.well.set()

    def task(self, request):
        return self.engine.task(request.task.name)

    @rpc
    def CreateTask(self, request):
        task = self.engine.create(request.session_name)
        return {"task": {"name": task.name}, "new_session_initialized": True}

    @rpc
    def ClearTask(self, request):
        task = self.task(request)
        task.stop()
        del self.engine.tasks[task.name]

    @rpc
    def StartTask(self, request):
        self.task(request).start()

    @rpc
    def StopTask(self, request):
        self.task(request).stop()

    @rpc
    def IsTaskDone(self, request):
        task = self.task(request)
        return {"is_task_done": not task.running or task.stopped_at is not None}

    @rpc
    def CreateAIVoltageChan(self, request):
        r = request
        self.task(r).add(r.physical_channel, r.name_to_assign_to_channel, r.min_val, r.max_val, VOLTAGE)

    @rpc
    def CreateAIBridgeChan(self, request):
        r = request
        self.task(r).add(r.physical_channel, r.name_to_assign_to_channel, r.min_val, r.max_val, BRIDGE)

    @rpc
    def CfgSampClkTiming(self, request):
        self.task(request).time_by_clock(request.rate, request.samps_per_chan)

    @rpc
    def CfgDigEdgeStartTrig(self, request):
        self.task(request).trigger = request.trigger_source

    @rpc
    def DisableStartTrig(self, request):
        self.task(request).trigger = ""

    @rpc
    def SetBufferAttributeUInt32(self, request):
        if request.attribute_raw != 0x186C:
            raise NiError(-200197)
        self.task(request).buffer = request.value

    @rpc
    def SetReadAttributeBool(self, request):
        if request.attribute_raw != 0x1826:
            raise NiError(-200197)
        self.task(request).auto_start = request.value

    @rpc
    def GetErrorString(self, request):
        return {"error_string": TEXTS.get(request.error_code, "")}

    def ReadAnalogF64(self, request, context):
        """Not under the lock: it waits, and others may stop the task meanwhile."""
        self.well.wait()
        try:
            frames, status = self.task(request).read(request.num_samps_per_chan, request.timeout)
        except NiError as error:
            metadata = (("ni-error", str(error.code)), ("ni-samps-per-chan-read", "0"))
            context.set_trailing_metadata(metadata)
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        self.well.wait()
        values = np.zeros(request.array_size_in_samps)
        packed = frames.T if request.fill_mode_raw == GROUP_BY_CHANNEL else frames
        values[: frames.size] = packed.ravel()  # without holes, however many were asked for
        context.set_trailing_metadata((("ni-samps-per-chan-read", str(len(frames))),))
        return pb.ReadAnalogF64Response(status=status, read_array=values, samps_per_chan_read=len(frames))


for _scope, _kinds in {
    "SystemInfo": ("UInt32", "String"),
    "Device": ("UInt32", "String", "Bool", "Double", "DoubleArray"),
    "Task": ("UInt32", "String"),
    "Timing": ("Double",),
    "Read": ("UInt32", "UInt64", "Bool", "String"),
    "Buffer": ("UInt32",),
    "Chan": ("Double",),
}.items():
    for _kind in _kinds:
        setattr(Service, f"Get{_scope}Attribute{_kind}", rpc(getter(_scope, _kind)))


def main():
    server = grpc.server(ThreadPoolExecutor(16))
    mine = Service()
    service.add_NiDAQmxServicer_to_server(mine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    orders = {
        "hang": mine.well.clear,
        "heal": mine.heal,
        "stall": lambda: mine.engine.stall(),
        "resume": lambda: mine.engine.resume(),
        "jump": lambda seconds: mine.engine.jump(float(seconds)),
        "remove": lambda device: mine.engine.gone.add(device),
        "overload": lambda channel: mine.engine.overloaded.add(channel),
    }
    for line in sys.stdin:
        order, *what = line.split()
        orders[order](*what)
        print("done", flush=True)
    mine.heal()
    server.stop(0)


if __name__ == "__main__":
    main()
