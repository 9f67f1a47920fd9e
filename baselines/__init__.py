"""The methods that TPSMM is compared with."""
