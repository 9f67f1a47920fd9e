"""The papers' data sets, from their published lists of videos or from archives, into `data/raw`."""
