"""Who watches in tests."""

from bench.progress import Silent


class Ear(Silent):
    """Remembers warnings, and each step that was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.seen: list[tuple[str, int, int]] = []

    def advance(self, what: str, done: int, total: int) -> None:
        self.seen.append((what, done, total))

    def warn(self, message: str) -> None:
        self.heard.append(message)
