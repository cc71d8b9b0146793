"""Postcard, as docs/WIRE.md fixes it: one encoding a value, every list bounded before it is read."""

import struct

from .policy import WITHOUT


class Malformed(Exception):
    """Not the one encoding of anything."""


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise Malformed("too short")
        self.at += n
        return self.data[self.at - n : self.at]

    def varint(self, bits):
        value = 0
        for i in range(-(-bits // 7)):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                if byte == 0 and i and "varint" not in WITHOUT or value >> bits:
                    raise Malformed("varint")
                return value
        raise Malformed("varint")


class Number:
    def __init__(self, bits):
        self.bits = bits

    def enc(self, x):
        assert 0 <= x < 1 << self.bits
        out = bytearray()
        while x >= 0x80:
            out.append(x & 0x7F | 0x80)
            x >>= 7
        return bytes(out) + bytes([x])

    def dec(self, reader):
        return reader.varint(self.bits)


class Fixed:
    def __init__(self, size):
        self.size = size

    def enc(self, x):
        assert len(x) == self.size
        return bytes(x)

    def dec(self, reader):
        return reader.take(self.size)


class Byte:
    def enc(self, x):
        return bytes([x])

    def dec(self, reader):
        return reader.take(1)[0]


class Bool:
    def enc(self, x):
        return bytes([bool(x)])

    def dec(self, reader):
        byte = reader.take(1)[0]
        if byte > 1:
            raise Malformed("bool")
        return byte == 1


class Float:
    def enc(self, x):
        return struct.pack("<d", x)

    def dec(self, reader):
        return struct.unpack("<d", reader.take(8))[0]


class Bytes:
    def enc(self, x):
        return Number(32).enc(len(x)) + x

    def dec(self, reader):
        return reader.take(reader.varint(32))


class Text(Bytes):
    def enc(self, x):
        return super().enc(x.encode())

    def dec(self, reader):
        try:
            return super().dec(reader).decode()
        except UnicodeDecodeError as error:
            raise Malformed("text") from error


class List:
    def __init__(self, of, most):
        self.of, self.most = of, most

    def enc(self, items):
        return Number(32).enc(len(items)) + b"".join(map(self.of.enc, items))

    def dec(self, reader):
        count = reader.varint(32)
        if count > self.most:
            raise Malformed("too many")
        return [self.of.dec(reader) for _ in range(count)]


class Option:
    def __init__(self, of):
        self.of = of

    def enc(self, x):
        return b"\0" if x is None else b"\1" + self.of.enc(x)

    def dec(self, reader):
        return self.of.dec(reader) if Bool().dec(reader) else None


class Struct:
    def __init__(self, **fields):
        self.fields = fields

    def enc(self, value):
        return b"".join(of.enc(value[name]) for name, of in self.fields.items())

    def dec(self, reader):
        return {name: of.dec(reader) for name, of in self.fields.items()}


class Choice:
    """A value is a pair: name of the alternative, its fields."""

    def __init__(self, **alternatives):
        self.names, self.alternatives = list(alternatives), alternatives

    def enc(self, value):
        name, fields = value
        return Number(32).enc(self.names.index(name)) + self.alternatives[name].enc(fields)

    def dec(self, reader):
        number = reader.varint(32)
        if number >= len(self.names):
            raise Malformed("choice")
        name = self.names[number]
        return name, self.alternatives[name].dec(reader)


def read(of, data):
    """The value of exactly these bytes."""
    reader = Reader(data)
    value = of.dec(reader)
    if reader.at != len(data):
        raise Malformed("bytes left over")
    return value
