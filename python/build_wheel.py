"""Makes the wheel: the package and the shared library. Needs neither network nor other packages (PEP 517, PEP 660).

The library is the file that LOCKSTEP_LIBRARY names; else that of the clone's release build; else it is built there
(cmake --preset release).
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLONE = HERE.parent


def _version():
    text = (CLONE / "CMakeLists.txt").read_text()
    return re.search(r"project\(lockstep VERSION ([0-9.]+)", text).group(1)


def _library():
    named = os.environ.get("LOCKSTEP_LIBRARY")
    if named:
        return Path(named).resolve(strict=True)
    built = CLONE / "build-release" / "liblockstep.so"
    if not built.exists():
        print("building the shared library (LOCKSTEP_LIBRARY names one that is there)", file=sys.stderr)
        subprocess.run(["cmake", "--preset", "release"], cwd=CLONE, check=True)
        subprocess.run(["cmake", "--build", "build-release", "--target", "lockstep_shared"], cwd=CLONE, check=True)
    return built.resolve(strict=True)


def _tag():
    return "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())


def _notes():
    return {
        "METADATA": f"Metadata-Version: 2.1\nName: lockstep\nVersion: {_version()}\n"
        "Summary: Lockstep from Python\nRequires-Python: >=3.9\nRequires-Dist: numpy>=1.20\n",
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: lockstep\nRoot-Is-Purelib: false\nTag: {_tag()}\n",
    }


def _write(folder, files):
    """files: name in the wheel -> bytes or a path."""
    info = f"lockstep-{_version()}.dist-info"
    files = dict(files, **{f"{info}/{name}": text.encode() for name, text in _notes().items()})
    name = f"lockstep-{_version()}-{_tag()}.whl"
    records = []
    with zipfile.ZipFile(Path(folder) / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        for path, content in files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            records.append(f"{path},sha256={digest},{len(data)}\n")
            wheel.writestr(path, data)
        wheel.writestr(f"{info}/RECORD", "".join(records) + f"{info}/RECORD,,\n")
    return name


def _stripped(library, folder):
    """A copy without debug information, where there is a `strip`."""
    copy = Path(folder) / "liblockstep.so"
    shutil.copyfile(library, copy)
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-debug", str(copy)], check=False)
    data = copy.read_bytes()
    copy.unlink()
    return data


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    files = {f"lockstep/{p.name}": p for p in sorted((HERE / "lockstep").iterdir()) if p.suffix in (".py", ".typed")}
    files["lockstep/py.typed"] = HERE / "lockstep" / "py.typed"
    files["lockstep/liblockstep.so"] = _stripped(_library(), wheel_directory)
    return _write(wheel_directory, files)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, {"lockstep.pth": f"{HERE}\n".encode()})


def build_sdist(sdist_directory, config_settings=None):
    raise RuntimeError("lockstep is installed from its clone: pip install ./python")
