"""Remote services: requests, downloads, keys, all under one set of rules."""
