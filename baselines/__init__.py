"""FOMM and MRAA, the methods that TPSMM is compared with."""
