"""What a run is and what it leaves: spec, record, rows, and the published claims beside them."""
