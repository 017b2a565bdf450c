"""Methods that match what networks make of real and synthetic images: gradients, features, trajectories."""
