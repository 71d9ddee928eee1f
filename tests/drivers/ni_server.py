"""The simulated NI gRPC Device Server of `ni_grpc`, as a process that a test may torment."""

import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("ni_grpc") / "server.py"


class Server:
    """Use it in ``with``; `host` is its address."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.host = f"127.0.0.1:{int(self.process.stdout.readline())}"
        return self

    def address(self, channels="Dev1/ai0:5", **options):
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"ni+grpc://{self.host}/{channels}?{query}".rstrip("?")

    def tell(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def freeze(self):
        """Stop its process, connections and all, until it is healed."""
        self.process.send_signal(signal.SIGSTOP)

    def heal(self):
        """Undo every torment, and clear what clients left behind."""
        if hasattr(signal, "SIGCONT"):
            self.process.send_signal(signal.SIGCONT)
        self.tell("heal")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()
