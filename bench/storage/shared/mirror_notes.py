"""What a mirror notes of its files: as what each was last the same here and in the store."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.storage import run_folder
from bench.storage.files import quarantine
from bench.storage.shared.slots import LEASES

FILE = ".store.sqlite"  # in a mirror
IN_UNITS = f"/{run_folder.UNITS}/"  # in names of a run's units
TABLE = "create table if not exists files (name text primary key, size int, mtime int, version text)"
SENDING = "sending after "  # begins the version of a file that was being sent; the one that was there follows


@dataclass(frozen=True)
class Known:
    """A file when it was the same here and there."""

    size: int
    mtime: int  # ns
    version: str

    def is_there(self, size: int, mtime: int) -> bool:
        """Whether a file of this size and time is what was sent, and arrived."""
        return (size, mtime) == (self.size, self.mtime) and not self.is_on_its_way

    @property
    def is_on_its_way(self) -> bool:
        """Whether it was being sent, and nothing is known of its arrival."""
        return self.version.startswith(SENDING) or not self.version

    def is_settled(self, *, leased: bool) -> bool:
        """Whether nobody is sending it now: whoever has the lease on it knows."""
        return leased or not self.is_on_its_way

    @property
    def there(self) -> str:
        """The version that was there when it was last seen; "" where there was none."""
        return self.version.removeprefix(SENDING)


class KnownFiles:
    """Of the mirror in a folder."""

    def __init__(self, root: Path) -> None:
        self._file = root / FILE

    def of(self, name: str) -> dict[str, Known]:
        """Each file of a name that is noted."""
        with closing(self._opened()) as notes:
            every = notes.execute("select * from files where name >= ? and name < ?", (name, name + chr(0x10FFFF)))
            return {each: Known(*rest) for each, *rest in every if is_of(each, name)}

    def put(self, files: dict[str, Known | None]) -> None:
        """Notes files; None for one of which nothing is known any more."""
        with closing(self._opened()) as notes, notes:
            for name, known in files.items():
                if known is None:
                    notes.execute("delete from files where name = ?", (name,))
                else:
                    row = (name, known.size, known.mtime, known.version)
                    notes.execute("insert or replace into files values (?, ?, ?, ?)", row)

    def _opened(self) -> sqlite3.Connection:
        """Damaged ones are set aside: then what is there counts for newer than what is here."""
        notes = sqlite3.connect(self._file, timeout=60)
        try:
            notes.execute(TABLE)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            notes.close()
            quarantine(self._file)
            return self._opened()
        return notes


def is_of(name: str, whole: str) -> bool:
    """Whether a file belongs to a name: it lies below it or, of a unit, beside it. Leases belong to nobody."""
    if LEASES in name.split("/"):
        return False
    return not whole or name.startswith((f"{whole}/", f"{whole}.") if IN_UNITS in whole else f"{whole}/")
