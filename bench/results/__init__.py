"""What a run is and what it leaves: spec, record, rows, claims, and what is to be said of them."""
