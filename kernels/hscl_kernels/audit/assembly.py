"""Count in the machine code: instructions by kind, and those that every turn of the innermost loop must issue."""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

_NVIDIA = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?P<guard>@!?U?P\w+\s+)?(?P<opcode>[A-Z][\w.]*)\s*(?P<rest>.*);")
_AMD = re.compile(r"^\t(?P<opcode>[a-z]\w*)\s*(?P<rest>[^;]*)")
_LABEL = re.compile(r"^(\.L\w+):")
_TARGET = re.compile(r"\.L\w+")
_TENSOR_CORE = re.compile(r"(?:[HQO]MMA|HGMMA|QGMMA|UTC[A-Z]*MMA)\b|v_(?:mfma|s?wmmac?)_")
_EXPONENTIAL = re.compile(r"MUFU\.EX2|v_exp_f32")
_SPILL = re.compile(r"(?:LDL|STL)\b")


class Instruction(NamedTuple):
    """``goes_on`` to the next one, unless it ends the program or always jumps; ``jumps`` is the label it may go to."""

    opcode: str
    jumps: str | None
    goes_on: bool


class Program(NamedTuple):
    """The instructions of a kernel, and which of them each label stands before."""

    instructions: list[Instruction]
    labels: dict[str, int]

    def count(self, kind: re.Pattern[str]) -> int:
        """Return how many instructions are of a kind."""
        return sum(kind.match(instruction.opcode) is not None for instruction in self.instructions)

    @property
    def tensor_core(self) -> int:
        """Matrix instructions."""
        return self.count(_TENSOR_CORE)

    @property
    def exponentials(self) -> int:
        """Instructions that compute a power of two."""
        return self.count(_EXPONENTIAL)

    @property
    def local_accesses(self) -> int:
        """NVIDIA's loads from and stores to local memory, which is where spilled registers go."""
        return self.count(_SPILL)


def read_sass(text: str) -> Program:
    """Read NVIDIA's machine code as nvdisasm prints it."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := _LABEL.match(line):
            labels[label[1]] = len(instructions)
        elif found := _NVIDIA.match(line):
            opcode, rest = found["opcode"], found["rest"]
            jump = _TARGET.search(rest) if opcode.startswith("BRA") else None
            # A branch may also have its condition among its operands.
            always = not found["guard"] and (rest.startswith("`") or opcode in ("EXIT", "RET.REL.NODEC"))
            ends = opcode.startswith(("BRA", "EXIT", "RET")) and always
            instructions.append(Instruction(opcode, jump[0] if jump else None, not ends))
    return Program(instructions, labels)


def read_amdgcn(text: str) -> Program:
    """Read AMD's assembly as LLVM writes it."""
    instructions: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := _LABEL.match(line):
            labels[label[1]] = len(instructions)
        elif found := _AMD.match(line):
            opcode = found["opcode"]
            jump = _TARGET.search(found["rest"]) if "branch" in opcode else None
            ends = opcode in ("s_branch", "s_endpgm")
            instructions.append(Instruction(opcode, jump[0] if jump else None, not ends))
            if opcode == "s_endpgm":
                break  # the kernel's description follows
    return Program(instructions, labels)


def main_loop(program: Program) -> list[Instruction]:
    """Return the instructions that every turn of the main loop issues; empty if there is no such loop.

    It is the shortest way from an exponential back to itself, so rare branches are left out: the edge of the matrix,
    its diagonal, equal ids.
    """
    ways = []
    for start, instruction in enumerate(program.instructions):
        if _EXPONENTIAL.match(instruction.opcode):
            way = _way_back(program, start)
            if way:
                ways.append(way)
    shortest = min(ways, key=len, default=[])
    return [program.instructions[place] for place in shortest]


def _way_back(program: Program, start: int) -> list[int]:
    """Return the places of the shortest cycle through ``start``, by breadth-first search."""
    reached: dict[int, int] = {}
    queue = deque([start])
    while queue:
        place = queue.popleft()
        instruction = program.instructions[place]
        following = [place + 1] if instruction.goes_on and place + 1 < len(program.instructions) else []
        if instruction.jumps in program.labels:
            following.append(program.labels[instruction.jumps])
        for after in following:
            if after == start:
                way = [place]
                while way[-1] != start:
                    way.append(reached[way[-1]])
                return way[::-1]
            if after not in reached:
                reached[after] = place
                queue.append(after)
    return []


def issued(loop: list[Instruction]) -> int:
    """Return how many instructions of a loop take a slot of the multiprocessor's schedulers.

    On AMD these are vector instructions other than matrix instructions, which have a time of their own; scalar ones
    are issued beside them.
    """
    amd = any(instruction.opcode.startswith("s_") for instruction in loop)
    if not amd:
        return len(loop)
    return sum(
        instruction.opcode.startswith("v_") and not _TENSOR_CORE.match(instruction.opcode) for instruction in loop
    )
