"""Sets single images in motion, with any run that is here, and puts the results side by side."""
