"""The metered, shown, checkpointed, stoppable loop, and how far it goes."""
