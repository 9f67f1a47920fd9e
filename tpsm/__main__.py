"""`python -m tpsm` is `tpsm`: what torchrun starts."""

from tpsm.cli.main import main

main()
