"""Labels that a teacher makes: of each view while training, or stored once and read by every training."""
