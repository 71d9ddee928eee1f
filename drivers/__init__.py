"""Drivers of measuring devices, installed as ``balancecore.drivers``; the core never imports them."""
