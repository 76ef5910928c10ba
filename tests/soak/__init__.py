"""An agent under mixed load for minutes: what it holds must not grow. `make soak`."""
