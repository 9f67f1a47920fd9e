"""The vocabulary of the project: what every room may use, and what uses no room."""
