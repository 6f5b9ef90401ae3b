# SPDX-License-Identifier: MIT OR Apache-2.0
"""Guests of a few instructions: flat riscv64 programs that run in S-mode under Hull's SBI."""
import struct

DBCN, SRST = 0x4442434E, 0x53525354
ZERO, A0, A1, A2, A6, A7 = 0, 10, 11, 12, 16, 17

ECALL, WFI = 0x00000073, 0x10500073


def _word(value):
    return struct.pack("<I", value & 0xFFFFFFFF)


def li(reg, value):
    """lui and addiw: any 32-bit value, sign-extended."""
    low = ((value & 0xFFF) ^ 0x800) - 0x800
    high = (value - low) & 0xFFFFF000
    return _word(high | reg << 7 | 0x37) + _word((low & 0xFFF) << 20 | reg << 15 | reg << 7 | 0x1B)


def addi(reg, source, value):
    return _word((value & 0xFFF) << 20 | source << 15 | reg << 7 | 0x13)


def jal(reg, offset):
    imm = (offset >> 20 & 1) << 31 | (offset >> 1 & 0x3FF) << 21 | (offset >> 11 & 1) << 20
    return _word(imm | (offset >> 12 & 0xFF) << 12 | reg << 7 | 0x6F)


def blt(a, b, offset):
    imm = (offset >> 12 & 1) << 31 | (offset >> 5 & 0x3F) << 25
    imm |= (offset >> 1 & 0xF) << 8 | (offset >> 11 & 1) << 7
    return _word(imm | b << 20 | a << 15 | 4 << 12 | 0x63)


def sw(value_reg, address_reg):
    return _word(value_reg << 20 | address_reg << 15 | 2 << 12 | 0x23)


def say(text):
    """Print: the text lies behind a jump that leaves its address in a1."""
    data = text.encode()
    data += b"\0" * (-len(data) % 4)
    return (jal(A1, 4 + len(data)) + data + li(A0, len(text)) + li(A2, 0) + li(A6, 0) +
            li(A7, DBCN) + _word(ECALL))


def off(reason=0):
    """Switch off, with reason 1: because the system failed."""
    return li(A0, 0) + li(A1, reason) + li(A6, 0) + li(A7, SRST) + _word(ECALL)


def reboot():
    return li(A0, 1) + li(A1, 0) + li(A6, 0) + li(A7, SRST) + _word(ECALL)


def fail(code):
    """Switch off through the test finisher, with a failure code."""
    return li(A0, 0x100000) + li(A1, code << 16 | 0x3333) + sw(A1, A0)


def echo():
    """Print what is typed, for ever."""
    get = li(A7, 2) + _word(ECALL)
    get += blt(A0, ZERO, -len(get))
    put = li(A7, 1) + _word(ECALL)
    return get + put + jal(ZERO, -len(get + put))


def again(body):
    return body + jal(ZERO, -len(body))


def halt():
    return again(_word(WFI))


def spin():
    return jal(ZERO, 0)


def trap():
    """An illegal instruction, and no handler for it."""
    return _word(0)
