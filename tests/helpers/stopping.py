"""Stops that a test asks for."""


class StopAfter:
    """Asks to stop once it has been asked `calls` times."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0
