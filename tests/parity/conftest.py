"""`pytest tests/parity --fixtures DIR` checks the fixtures of DIR in the place of our own."""

from pathlib import Path

import pytest

OWN = Path(__file__).parent / "fixtures"
FOLDER = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """pytest has a flag `--fixtures` of its own, which lists its fixtures, and sees DIR as one more path to collect.

    Where that path holds *.npz files it is ours: the flag is taken back, and the tests are collected.
    """
    folders = [Path(argument) for argument in config.args if any(Path(argument).glob("*.npz"))]
    if config.option.showfixtures and folders:
        config.option.showfixtures = False
        config.args = [argument for argument in config.args if Path(argument) not in folders]
        config.stash[FOLDER] = folders[-1]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fixture_file" in metafunc.fixturenames:
        files = sorted(metafunc.config.stash.get(FOLDER, OWN).glob("*.npz"))
        metafunc.parametrize("fixture_file", files, ids=lambda file: file.stem, scope="module")
