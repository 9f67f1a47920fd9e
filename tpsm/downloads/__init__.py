"""Files of the network: a download that resumes, and pinned files that are checked by their SHA-256."""
