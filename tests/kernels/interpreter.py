"""Triton's interpreter without the work that it repeats for every call of a device function.

Each call of a ``@triton.jit`` function from a kernel replaces the functions of ``triton.language`` once more by those
of the interpreter, although the launch has done so: a third of the interpreter's time. Importing this module makes it
do so once per launch for each set of modules that a function sees.
"""

import functools

from hscl_kernels.backends import HAS_TRITON, INTERPRETED


def patch_language_once_per_launch():
    import triton.language as tl
    from triton.runtime import interpreter

    patch_language, launch = interpreter._patch_lang, interpreter.GridExecutor.__call__
    patched = set()

    @functools.cache
    def visible(function):
        names = function.__globals__.values()
        return any(value is tl for value in names), any(value is tl.core for value in names)

    def patch_once(function):
        if visible(function) in patched:
            return interpreter._LangPatchScope()
        patched.add(visible(function))
        return patch_language(function)

    def launch_afresh(self, *arguments, **options):
        patched.clear()
        return launch(self, *arguments, **options)

    interpreter._patch_lang, interpreter.GridExecutor.__call__ = patch_once, launch_afresh


if HAS_TRITON and INTERPRETED:
    patch_language_once_per_launch()
