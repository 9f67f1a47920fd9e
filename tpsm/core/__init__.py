"""The vocabulary of the project: every room may import it, and it imports none of them."""
