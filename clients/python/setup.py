"""Puts the server's binary into the wheel, if SANDTABLE_BUNDLE names it, and the command beside it; the rest is in
pyproject.toml."""

import os
import pathlib
import shutil

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

BUNDLE = os.environ.get("SANDTABLE_BUNDLE", "")


class BuildWithBinary(build_py):
    def run(self):
        super().run()
        # `build_lib` may hold the binary of an earlier build.
        folder = pathlib.Path(self.build_lib) / "sandtable" / "bin"
        shutil.rmtree(folder, ignore_errors=True)
        if not BUNDLE:
            return
        binary = pathlib.Path(BUNDLE)
        if not binary.is_file():
            raise SystemExit(f"SANDTABLE_BUNDLE names `{BUNDLE}`, which is no file")
        folder.mkdir(parents=True)
        target = folder / ("sandtable.exe" if binary.suffix == ".exe" else "sandtable")
        shutil.copyfile(binary, target)
        target.chmod(0o755)


class WheelOfThisPlatform(bdist_wheel):
    def get_tag(self):
        # Any Python 3, but only this platform.
        return ("py3", "none", super().get_tag()[2])


class WithCommand(Distribution):
    def parse_config_files(self, *arguments, **more):
        super().parse_config_files(*arguments, **more)
        # Not in pyproject.toml: in maturin's wheels the program itself has this name.
        self.entry_points["console_scripts"] = ["sandtable = sandtable.command:main"]


class WithBinary(WithCommand):
    def has_ext_modules(self):
        return True


if BUNDLE:
    setup(distclass=WithBinary, cmdclass={"build_py": BuildWithBinary, "bdist_wheel": WheelOfThisPlatform})
else:
    setup(distclass=WithCommand, cmdclass={"build_py": BuildWithBinary})
