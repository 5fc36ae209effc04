"""The protocol as a model to be searched, and the real code under simulated faults."""
