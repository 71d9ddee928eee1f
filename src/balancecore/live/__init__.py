"""The live page: what is measured and found while it happens, in any browser that is let in.

Two processes share this package and a pipe of JSON lines. The one that captures feeds the page; the page (`page`)
knows of no device, keeps what it shows (`hub`), and serves it to browsers (`site`, `document`).
"""
