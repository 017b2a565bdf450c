"""What rows say together: means over sets, tests, what is best, scores made of several rows."""
