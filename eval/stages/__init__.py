"""One file for each stage of `dvc.yaml` that runs `python -m eval`."""
