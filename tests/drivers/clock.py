"""Time for tests that must not hang on the machine's."""


class Clock:
    """Stands in for the module `time`: time passes only where somebody waits, by so much on any machine."""

    now_s = 1000.0

    def monotonic(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds
