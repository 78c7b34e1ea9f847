"""Stand-ins for remote services, on loopback."""
