"""gRPC around the messages: addresses, channels, errors, the service's two ends."""
