"""Work of deployments that opens its own transactions and calls engines."""
