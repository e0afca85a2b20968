"""Getting matplotlib without a word of its own, and without anything left behind."""

import atexit
import importlib
import logging
import os
import shutil

from netusage.errors import NetusageError

_BACKEND, _DIRECTORY = "MPLBACKEND", "MPLCONFIGDIR"


def load() -> None:
    """Import matplotlib and its fonts.

    It is not heard about caches that it cannot write and lines of a matplotlibrc that it does not know, nor asked for
    a backend: pictures are drawn without one. Where it has made a temporary directory for its cache, which it would
    take away only at a usual end of the interpreter, that is taken away here.

    Raises:
        NetusageError: it is not installed.
    """
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    backend, directory = os.environ.pop(_BACKEND, None), os.environ.get(_DIRECTORY)
    try:
        mpl = importlib.import_module("matplotlib")
        mpl.get_configdir()  # may be asked for first when something is drawn
        importlib.import_module("matplotlib.font_manager")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise NetusageError(
            "netusage plot needs the package matplotlib", hint="pip install 'netusage[plot]'"
        ) from error
    finally:
        if backend is not None:
            os.environ[_BACKEND] = backend
        made = os.environ.get(_DIRECTORY)
        if made is not None and made != directory:
            shutil.rmtree(made, ignore_errors=True)
            atexit.unregister(shutil.rmtree)
            if directory is None:
                del os.environ[_DIRECTORY]
            else:
                os.environ[_DIRECTORY] = directory
