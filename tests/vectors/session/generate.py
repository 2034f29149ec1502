#!/usr/bin/env python3
"""Writes handshakes.jsonl and refusals.jsonl from the protocol's text alone.

Independent of the library: another language, OpenSSL's Ed25519 (package `cryptography`) and hashlib's
SHA-512/256. Run it in its folder; the output is deterministic and the files must not change.
"""
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def h(*parts):
    return hashlib.new("sha512_256", b"".join(parts)).digest()


def be(value, width):
    return value.to_bytes(width, "big")


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def string(data):
    return varint(len(data)) + data


def length(data):
    return be(len(data), 4)


def public(seed):
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(seed, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def handshake(case, *, service, instance, generation, seen, marks, capabilities, extensions, frames, seeds):
    host_seed, guest_seed, host_entropy, guest_entropy = (bytes([byte]) * 32 for byte in seeds)
    host_mark, guest_mark = (be(mark or 0, 8) for mark in marks)
    session_id = h(b"mvm-core/session/v3/session-id\0", host_entropy)[:16]
    host_nonce = h(b"mvm-core/session/v3/host-nonce\0", host_entropy, host_mark, session_id, be(generation, 8))
    host_hello = b"".join([
        bytes([3, 3, 1]), varint(service), session_id, host_nonce, public(host_seed),
        string(instance.encode()), varint(generation), varint(capabilities[0]), string(extensions[0]),
    ])
    guest_nonce = h(b"mvm-core/session/v3/guest-nonce\0", guest_entropy, guest_mark, length(host_hello), host_hello)
    guest_hello = b"".join([
        bytes([3, 1]), guest_nonce, public(guest_seed),
        varint(seen), varint(capabilities[1]), string(extensions[1]),
    ])
    t1 = h(b"mvm-core/session/v3/t1\0", length(host_hello), host_hello, length(guest_hello), guest_hello)
    guest_signature = sign(guest_seed, b"mvm-core/session/v3/guest\0" + t1)
    host_finish = sign(host_seed, b"mvm-core/session/v3/host\0" + t1 + guest_signature)
    t2 = h(b"mvm-core/session/v3/t2\0", t1, guest_signature, host_finish)

    def frame(direction, kind, sequence, payload):
        seed = host_seed if direction == "H" else guest_seed
        message = b"".join([
            b"mvm-core/frame/v3\0", t2, direction.encode(), bytes([kind]), be(sequence, 8), h(payload),
        ])
        body = varint(sequence) + bytes([kind]) + string(payload) + sign(seed, message)
        return {
            "direction": direction, "kind": kind, "sequence": sequence,
            "payload": payload.hex(), "body": body.hex(),
        }

    return {
        "case": case,
        "host_seed": host_seed.hex(), "guest_seed": guest_seed.hex(),
        "host_entropy": host_entropy.hex(), "guest_entropy": guest_entropy.hex(),
        "host_mark": None if marks[0] is None else str(marks[0]),
        "guest_mark": None if marks[1] is None else str(marks[1]),
        "service": service, "instance": instance, "generation": str(generation), "seen": str(seen),
        "host_capabilities": capabilities[0], "guest_capabilities": capabilities[1],
        "host_extensions": extensions[0].hex(), "guest_extensions": extensions[1].hex(),
        "session_id": session_id.hex(), "host_nonce": host_nonce.hex(), "guest_nonce": guest_nonce.hex(),
        "host_hello": host_hello.hex(), "t1": t1.hex(),
        "guest_hello": (guest_hello + guest_signature).hex(), "host_finish": host_finish.hex(), "t2": t2.hex(),
        "frames": [frame(*fields) for fields in frames],
    }


U64 = 2**64 - 1
HANDSHAKES = [
    handshake(
        "first contact", service=5252, instance="i-0a1b2c3d", generation=1, seen=0, marks=(7, 9),
        capabilities=(7, 5), extensions=(b"", b""), seeds=(1, 2, 3, 4),
        frames=[("H", 0, 0, b"ping"), ("G", 0, 0, b"pong"), ("H", 0, 1, b""), ("G", 0, 1, bytes(range(127))),
                ("H", 1, 2, b""), ("G", 1, 2, b"")],
    ),
    handshake(
        "every member at its largest", service=65535, instance="z" + 61 * "-" + "9", generation=U64, seen=U64,
        marks=(U64, U64), capabilities=(2**32 - 1, 2**32 - 1), extensions=(bytes(range(128)), 128 * b"\xff"),
        seeds=(0x11, 0x22, 0x33, 0x44),
        frames=[("H", 0, 0, bytes(range(128))), ("G", 0, 0, 300 * b"\xa5"), ("G", 1, 1, b""), ("H", 1, 1, b"")],
    ),
    handshake(
        "no mark, a new generation", service=0, instance="a", generation=128, seen=127, marks=(None, None),
        capabilities=(0, 0), extensions=(b"\x00", b"\x01\x02"), seeds=(0x51, 0x52, 0x53, 0x54),
        frames=[("G", 0, 0, b"\x00"), ("H", 0, 127, b"the last sequence number of one byte"),
                ("H", 0, 128, b"the first of two"), ("H", 1, 129, b""), ("G", 1, 1, b"")],
    ),
    handshake(
        "a reconnection", service=1, instance="i-00000000", generation=1_800_000_000, seen=1_800_000_000,
        marks=(0, None), capabilities=(0x8000_0001, 0x8000_0002), extensions=(b"", 16 * b"x"),
        seeds=(0xA0, 0xA1, 0xA2, 0xA3),
        frames=[("H", 1, 0, b""), ("G", 1, 0, b"")],
    ),
]
REFUSALS = [
    ("malformed", 1), ("version", 2), ("service", 3), ("suite", 4),
    ("host", 5), ("instance", 6), ("generation", 7), ("busy", 8),
]


def write(name, rows):
    with open(name, "w", encoding="ascii") as file:
        for row in rows:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


write("handshakes.jsonl", HANDSHAKES)
write("refusals.jsonl", [{"case": case, "code": code, "body": bytes([0, code, 3, 3]).hex()} for case, code in REFUSALS])
