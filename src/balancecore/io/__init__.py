"""Reading and writing recordings: one module a format, all behind :func:`read` and :func:`write`.

========================  =====================  ==========================================
format                    module                 what it defines
========================  =====================  ==========================================
QTM force export          :mod:`.qtm`            rate, geometry, units, force on the plate
Kistler BioWare text      :mod:`.bioware`        rate, units, axes, force on the plate
Kistler BioWare ``.dat``  :mod:`.bioware`        the same, from the raw channels of one plate
Vicon Nexus CSV           :mod:`.vicon`          rate, units, force on the plate, markers
AMTI NetForce text        :mod:`.netforce`       which column is what
OpenSim ``.mot``/``.sto`` :mod:`.opensim`        time, axes and SI units of ground forces
delimited text            :mod:`.delimited`      only what its header says
TDMS                      :mod:`.tdms`           rate and units of each channel
Parquet                   :mod:`.parquet`        what its columns and their metadata say
C3D                       :mod:`.c3d`            plates, rate, events, markers, lab axes
NumPy ``.npy``            :mod:`.npy`            nothing but the numbers
========================  =====================  ==========================================

A trial is written to CSV (:mod:`.delimited`), Parquet, TDMS and ``.mot``, a table of steps to CSV and Parquet
(:mod:`.step_tables`).
"""

from balancecore.io._read import read
from balancecore.io._write import write

__all__ = ["read", "write"]
