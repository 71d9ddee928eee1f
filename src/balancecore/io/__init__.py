"""Reading and writing recordings: one module a format, all behind :func:`read` and :func:`write`.

========================  =====================  ==========================================
format                    module                 what it defines
========================  =====================  ==========================================
QTM force TSV             :mod:`.qtm`            rate, geometry, units, force on the plate
OpenSim ``.mot``/``.sto`` :mod:`.opensim`        time, axes and SI units of ground forces
delimited text            :mod:`.delimited`      only what its header says
C3D                       :mod:`.c3d`            plates, rate, events, markers, lab axes
NumPy ``.npy``            :mod:`.npy`            nothing but the numbers
========================  =====================  ==========================================
"""

from balancecore.io._read import read
from balancecore.io._write import write

__all__ = ["read", "write"]
