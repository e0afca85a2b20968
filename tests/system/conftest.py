import pytest


@pytest.fixture
def configure(tmp_path):
    """Writes the configuration of a host with a fleet."""

    def write(settings, password=None, **more):
        from support.deliveries import configuration

        return configuration(tmp_path, settings, password, **more)

    return write


@pytest.fixture
def cable(space, spaces):
    """`space` and another one with a cable between them, and somebody who takes what is sent."""
    other = spaces()
    space.pair("cable", "cable", peer=other)
    for one, own in ((space, 1), (other, 2)):
        one.ip("addr", "add", f"10.9.0.{own}/24", "dev", "cable")
    receiver = other.socket(2, 2)
    receiver.bind(("10.9.0.2", 5000))
    return other
