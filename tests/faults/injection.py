"""Faults inside a process: it is killed, or the disk fails it, at a chosen change of the files in a folder.

An audit hook sees every change that Python makes, before it is made: files opened for writing, renamed and removed,
folders made and removed. So nothing of the code under test is replaced, and no privileges are needed.
"""

import errno
import functools
import os
import resource
import signal
import sys

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "faults.fsync", "faults.pwrite"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def inject(fault, folder, events):
    """Report the changes of files in ``folder`` to the descriptor ``events``, and apply a fault.

    Parameters
    ----------
    fault
        None, or a dict. ``{"kill_at": n}`` kills the process group ahead of change n, counted from 0.
        ``{"errno": name, "at": n}`` fails change n and all later ones with this error; with ``"once": True`` only n.
        ``{"bytes": n}`` fails writes beyond the first n bytes of any file with EFBIG; with ``"kill": True`` the process
        is killed there, in the middle of a write.
    folder, events
        Where faults are injected, and where changes are reported, one per line.
    """
    fault = fault or {}
    if "bytes" in fault:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if fault.get("kill") else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["bytes"], resource.RLIM_INFINITY))
    audit_descriptors("fsync", "pwrite")
    sys.addaudithook(_Hook(fault, os.path.realpath(folder), events))


def audit_descriptors(*names):
    """Make functions of ``os`` that Python does not audit report the descriptor that they are given."""
    for name in names:
        setattr(os, name, functools.partial(_audited, name, getattr(os, name)))


def _audited(name, function, descriptor, *rest):
    sys.audit(f"faults.{name}", descriptor)
    return function(descriptor, *rest)


class _Hook:
    def __init__(self, fault, folder, events):
        self.fault, self.folder, self.events = fault, folder + os.sep, events
        self.count = 0

    def __call__(self, event, arguments):
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITING:
                return
        elif event in CHANGES:
            path = arguments[event == "os.rename"]  # its new name
        else:
            return
        path = place(path)
        if path.startswith(self.folder):
            self.change(f"{event} {path.removeprefix(self.folder)}")

    def change(self, what):
        number, self.count = self.count, self.count + 1
        os.write(self.events, f"{number} {what}\n".encode(errors="surrogateescape"))
        if number == self.fault.get("kill_at"):
            os.killpg(0, signal.SIGKILL)
        if "errno" in self.fault and number >= self.fault["at"]:
            if self.fault["errno"] == "ENOSPC" and what.startswith(("os.remove", "os.rmdir")):
                return  # a full disk lets files be removed
            if self.fault.get("once") and number > self.fault["at"]:
                return
            code = getattr(errno, self.fault["errno"])
            raise OSError(code, os.strerror(code))


def place(path):
    """The real path of a file that is given by its path or its descriptor."""
    if isinstance(path, int):
        try:
            return os.readlink(f"/proc/self/fd/{path}")
        except OSError:
            return ""
    path = os.path.abspath(os.fsdecode(path))
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
