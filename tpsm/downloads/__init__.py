"""Gets files from the network: downloads that resume, and pinned files that are checked by their SHA-256."""
