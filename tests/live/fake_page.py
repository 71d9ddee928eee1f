"""Stands for the page: does what its first argument says, and keeps the lines that it gets in the file of the second.

``quiet`` reads, ``deaf`` never does; ``dies`` ends with status 3 as soon as it has listened, ``refuses`` before.
Anything else is a Python literal of bytes, which it writes behind its URL; then it reads.
"""

import ast
import os
import sys
import time

what, kept = sys.argv[1:3]
port = sys.argv[sys.argv.index("--port") + 1]
if what == "refuses":
    sys.exit("no such address")
with open(kept, "ab", buffering=0) as lines:
    lines.write(f"# {os.getpid()} {port} {os.environ.get('BALANCECORE_LIVE_TOKEN')}\n".encode())
    out = sys.stdout.buffer
    out.write(b'{"listening": "http://127.0.0.1:%d/"}\n' % (int(port) or 12345))
    out.flush()
    if what == "dies":
        sys.exit(3)
    if what == "deaf":
        time.sleep(600.0)
    if what != "quiet":
        out.write(ast.literal_eval(what))
        out.flush()
    for line in sys.stdin.buffer:
        lines.write(line)
