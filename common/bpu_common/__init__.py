"""What host and board agree on: values, the model container, errors, the wire."""
