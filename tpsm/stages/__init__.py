"""One file for each stage of `dvc.yaml` that runs `tpsm`: it reads files, calls other rooms, and writes files."""
