"""A pytest plug-in that writes down what each passing test calls: the truth of the links benchmark.

    OWN_FRAME=calls.json python -m pytest -p own_frame

It knows nothing of the hub, and runs in the environment of the project whose tests they are. Of
each test it keeps the functions that were called from the test function's own frame, and all that
ran meanwhile. A comprehension is part of the frame that it stands in (newer Pythons run it there).
A constructor counts for the class of the object that it makes.
"""

import inspect
import json
import os
import sys
from pathlib import Path

import pytest

_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
_CONSTRUCTORS = {"__init__", "__new__", "__post_init__"}


class _Recorder:
    """Collects (file, first line, name) of functions, and (file, qualified name) of classes."""

    def __init__(self):
        self.tests = {}
        self.code = None
        self.direct, self.ran, self.made = set(), set(), set()

    def profile(self, frame, event, argument):
        if event != "call":
            return
        code = frame.f_code
        place = (code.co_filename, code.co_firstlineno, code.co_name)
        self.ran.add(place)
        called = place
        if code.co_name in _CONSTRUCTORS:
            called = _class_of(frame)
            self.ran.add(called)
        caller = frame.f_back
        while caller is not None and caller.f_code.co_name in _COMPREHENSIONS:
            caller = caller.f_back
        if caller is not None and caller.f_code is self.code:
            self.direct.add(called)


def _class_of(frame):
    """File and qualified name of what a constructor makes."""
    name = frame.f_code.co_varnames[0] if frame.f_code.co_argcount else ""
    made = frame.f_locals.get(name)
    return _place(made if isinstance(made, type) else type(made))


def _place(kind):
    """A class by file and qualified name; its module may say less, or another's name."""
    codes = [getattr(value, "__code__", None) for value in vars(kind).values()]
    files = [code.co_filename for code in codes if code and Path(code.co_filename).is_file()]
    module = sys.modules.get(kind.__module__)
    return (files[0] if files else getattr(module, "__file__", None) or "", kind.__qualname__)


def _function_of(item):
    """The function that the test's author wrote, below what decorators made of it."""
    function = inspect.unwrap(item.obj)
    if hasattr(function, "hypothesis"):
        function = inspect.unwrap(function.hypothesis.inner_test)
    return getattr(function, "__code__", None)


recorder = _Recorder()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    code = _function_of(item) if hasattr(item, "obj") else None
    if code is None:
        return (yield)
    recorder.code = code
    recorder.direct, recorder.ran = set(), set()
    sys.setprofile(recorder.profile)
    try:
        result = yield
    finally:
        sys.setprofile(None)
    key = (code.co_filename, code.co_firstlineno, code.co_name)
    direct, ran = recorder.tests.setdefault(key, (set(), set()))
    direct |= recorder.direct
    ran |= recorder.ran
    return result


def pytest_sessionfinish():
    """Classes without a constructor in Python are listed: no frame shows that one was called."""
    silent = {
        _place(value)
        for module in list(sys.modules.values())
        for value in list(getattr(module, "__dict__", {}).values())
        if isinstance(value, type)
        and getattr(module, "__file__", None)
        and value.__module__ == module.__name__
        and not any(inspect.isfunction(getattr(value, name, None)) for name in _CONSTRUCTORS)
    }
    written = {
        "tests": [
            {"test": key, "direct": sorted(direct, key=str), "ran": sorted(ran, key=str)}
            for key, (direct, ran) in sorted(recorder.tests.items())
        ],
        "silent": sorted(silent),
    }
    Path(os.environ["OWN_FRAME"]).write_text(json.dumps(written))
