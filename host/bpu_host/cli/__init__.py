"""Commands of the host; heavy imports wait until a command runs."""
