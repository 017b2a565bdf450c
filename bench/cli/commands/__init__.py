"""One module a command, imported when it is called, so that `bench --help` answers at once."""
