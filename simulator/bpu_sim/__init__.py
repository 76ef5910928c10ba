"""The simulated chip: arithmetic, machine, timing, device. Knows numbers, not networks."""
