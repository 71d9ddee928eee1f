"""Commands of the command line that need more room than :mod:`balancecore.cli` has: one module each."""
