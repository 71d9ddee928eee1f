"""Compiled kernels: typed memoryviews in, the caller's buffers out, no GIL, no allocation in a loop."""
