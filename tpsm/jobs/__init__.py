"""Running one function over many clips: in processes, on a cluster, resumable."""
