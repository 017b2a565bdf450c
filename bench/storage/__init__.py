"""Files that are whole or absent, what they must hold, names, pages of memory, standard streams."""
