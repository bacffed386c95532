"""Open terminals: their processes, and the sockets that show them."""
