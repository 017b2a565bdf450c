"""Files that are whole or absent, what they must hold, stages kept by content, elapsed time, standard streams."""
