"""An application as Debian packages it, as one directory: apps_unpack.py ROOT APPLICATION TARGET. ROOT has the
unpacked packages. Links that lead through the packages' other places become what they lead to; those that lead to
what an administrator would make (/etc, /var/lib) are left out."""

import os
import shutil
import sys

root, application, target = sys.argv[1:4]


def resolved(path, hops=0):
    """The path below `root` that a path below it means, or None."""
    if hops > 20:
        return None
    if not os.path.islink(path):
        return path if os.path.exists(path) else None
    to = os.readlink(path)
    to = root + to if to.startswith("/") else os.path.join(os.path.dirname(path), to)
    return resolved(os.path.normpath(to), hops + 1)


def copy(source, to):
    real = resolved(source)
    if real is None:
        return
    if os.path.isdir(real):
        os.makedirs(to, exist_ok=True)
        for name in sorted(os.listdir(real)):
            copy(os.path.join(real, name), os.path.join(to, name))
    else:
        shutil.copyfile(real, to)


copy(os.path.join(root, application), target)
