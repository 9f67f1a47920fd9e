"""The methods by name; each is found when it is asked for."""
