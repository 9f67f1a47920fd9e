"""`python -m tpsm` is `tpsm`: what torchrun starts."""

from tpsm.cli import main

main()
