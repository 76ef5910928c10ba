"""The agent: the runtime behind gRPC, on a unix socket or the loopback address."""
