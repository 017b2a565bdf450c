"""What can go wrong, sorted by whose move is next: the user's, the run's, or a file's."""


class BenchError(Exception):
    """Base of all errors that carry a message meant for the user."""


class UsageError(BenchError):
    """A user's mistake. The command line prints its one line and exits with status 2; nothing was written."""


class RunFailure(BenchError):
    """A run that cannot go on (NaN, a corrupt image, a full disk): it becomes a failed row with this reason."""


class CorruptArtefact(BenchError):
    """A file of ours whose content is not what was written: truncated, altered, or of another schema."""


class Interrupted(BenchError):
    """The user asked to stop; what is finished is kept and the same command continues."""
