"""``hscl doctor``: what works on this machine, and what a configuration will cost on it."""

from hscl_fast.doctor.command import doctor_command

__all__ = ["doctor_command"]
