"""Stand-ins: remote services on loopback, a network without training."""
