import pytest

from spool_folder import Spool


@pytest.fixture
def spool(tmp_path):
    """Makes launch folders: spool(command, **launch_record). What runs in them is ended with the test."""
    made = []

    def make(command, folder=None, **record):
        made.append(Spool(folder or tmp_path / "launch-{}".format(len(made)), command, **record))
        return made[-1]

    yield make
    for each in made:
        each.end()
