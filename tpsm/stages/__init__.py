"""One file for each stage of `dvc.yaml` that runs `tpsm`: it reads files, calls the rooms, writes files."""
