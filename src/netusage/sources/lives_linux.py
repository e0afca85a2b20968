"""The identity of one life of a Linux link: the inode of its directory in sysfs."""

import os

_SYSFS = "/sys/class/net"


def life_of(name: str, index: int) -> int:
    """The inode of the link's directory in sysfs.

    It stays through renames and moves between namespaces. The kernel numbers them upwards through a boot
    (`__kernfs_new_node`; measured on 6.18), so a link that is made later has a greater one, even under the same index.
    0 when sysfs is missing or shows another namespace's link of that name.
    """
    path = f"{_SYSFS}/{name}"
    try:
        with open(f"{path}/ifindex", "rb") as file:
            if int(file.read()) != index:
                return 0
        return os.stat(path).st_ino
    except (OSError, ValueError):
        return 0
