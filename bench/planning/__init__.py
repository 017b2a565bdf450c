"""From what the user asked for to the jobs to do: checked, configured and counted before any work."""
