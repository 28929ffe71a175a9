"""The injected clock of the tests of `lrlab best`."""


class Clock:
    "A clock that moves on by `tick` seconds whenever it is read."

    def __init__(self, tick: float):
        self.tick, self.now = tick, 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now
