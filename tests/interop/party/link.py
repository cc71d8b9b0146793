"""QUIC: enrolment, certificates, frames, uploads, downloads (docs/WIRE.md, Transport)."""

import asyncio
import re
import ssl
from datetime import datetime, timezone

from aioquic import tls
from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from reference.primitives import H, sha256, u32le, u64le

from . import messages
from .codec import read

SERVER = "coordinator.quorate.internal"
EXPORTER = b"EXPORTER-quorate-certificate"
BINDING = re.compile(r"quorate://([0-9a-f]{64})/coordinator/([0-9a-f]{64})")


class Refused(Exception):
    """The coordinator's code."""


class Untrusted(Exception):
    """Not the coordinator that is pinned, or it proves nothing."""


def _derive(schedule, label):
    # The exporter's secret is of the transcript up to the server's Finished (RFC 8446, 7.1), as that of the traffic is.
    if label == b"c ap traffic":
        schedule.exporter = _original(schedule, b"exp master")
    return _original(schedule, label)


_original = tls.KeySchedule.derive_secret
tls.KeySchedule.derive_secret = _derive


def exported(schedule, label, context, size):
    """RFC 8446, 7.5."""

    def expand(secret, name, data, length):
        return tls.hkdf_expand_label(algorithm=schedule.algorithm, secret=secret, label=name, hash_value=data, length=length)

    def hashed(data):
        digest = tls.hashes.Hash(schedule.algorithm)
        digest.update(data)
        return digest.finalize()

    secret = expand(schedule.exporter, label, schedule.hash_empty_value, schedule.algorithm.digest_size)
    return expand(secret, b"exporter", hashed(context), size)


def spki(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Coordinator:
    """Where it is and what is pinned of it."""

    def __init__(self, address, pin):
        self.host, port = address.rsplit(":", 1)
        self.port, self.pin = int(port), pin

    def connect(self, alpn, credentials=None):
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=[alpn], verify_mode=ssl.CERT_NONE, server_name=SERVER, idle_timeout=30.0
        )
        if credentials:
            configuration.certificate, configuration.private_key = credentials
        return connect(self.host, self.port, configuration=configuration)

    def verified(self, connection):
        """Deployment and hash of the coordinator's key, from a certificate under the pin."""
        context = connection._quic.tls
        leaf, chain = context._peer_certificate, context._peer_certificate_chain
        if leaf is None or len(chain) != 1:
            raise Untrusted("chain")
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        match = BINDING.fullmatch(uris[0]) if len(uris) == 1 else None
        if not match:
            raise Untrusted("binding")
        deployment, key_hash = map(bytes.fromhex, match.groups())
        if H("transport-pin", deployment, key_hash, spki(chain[0].public_key())) != self.pin:
            raise Untrusted("pin")
        leaf.verify_directly_issued_by(chain[0])
        now = datetime.now(timezone.utc)
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            raise Untrusted("dates")
        return deployment, key_hash


async def exchange(connection, value):
    reader, writer = await connection.create_stream()
    body = messages.REQUEST.enc(value)
    writer.write(u32le(len(body)) + body)
    writer.write_eof()
    length = int.from_bytes(await reader.readexactly(4), "little")
    if length > (4 << 20) + (16 << 10):
        raise Untrusted("answer too long")
    name, answer = read(messages.ANSWER, await reader.readexactly(length))
    if name == "refused":
        raise Refused(answer["code"])
    return name, answer


async def enrol(coordinator, key, token):
    """[REG-2]; gives deployment and the coordinator's answer, not yet verified."""
    async with coordinator.connect("quorate-enrol/1") as connection:
        deployment, key_hash = coordinator.verified(connection)
        proof = key.sign(H("enrol", deployment, u64le(0), sha256(token), key.public))
        name, answer = await exchange(connection, ("enrol", {"key": key.public, "token": token, "proof": proof}))
        if name != "welcome" or sha256(answer["coordinator"]) != key_hash:
            raise Untrusted("welcome")
        return deployment, answer


async def certify(coordinator, key, deployment, index):
    """A TLS key and a certificate for it."""
    async with coordinator.connect("quorate-enrol/1") as connection:
        if coordinator.verified(connection)[0] != deployment:
            raise Untrusted("deployment")
        secret = ec.generate_private_key(ec.SECP256R1())
        public = spki(secret.public_key())
        channel = exported(connection._quic.tls.key_schedule, EXPORTER, deployment, 32)
        ident = u32le(index) + sha256(key.public)
        signature = key.sign(H("certificate-request", deployment, u64le(0), ident, public, channel))
        name, answer = await exchange(connection, ("certificate", {"index": index, "key": public, "signature": signature}))
        if name != "certificate":
            raise Untrusted("certificate")
        return x509.load_der_x509_certificate(answer["certificate"]), secret


class Session:
    """A party's connection."""

    def __init__(self, connection):
        self.connection = connection

    async def open(self):
        self.reader, self.writer = await self.connection.create_stream()
        self.writer.write(b"\1")

    def send(self, frame):
        self.writer.write(u32le(len(frame)) + frame)

    async def next(self):
        """The next frame; empty: poll."""
        length = int.from_bytes(await self.reader.readexactly(4), "little")
        if length > messages.LARGEST:
            raise Untrusted("frame too long")
        return await self.reader.readexactly(length)

    async def upload(self, round_, frame, vector):
        reader, writer = await self.connection.create_stream()
        writer.write(b"\2" + u64le(round_) + sha256(frame) + u32le(len(frame)) + u64le(len(vector)))
        await self.fine(reader)
        offset = int.from_bytes(await reader.readexactly(8), "little")
        try:
            writer.write((frame + vector)[offset:])
            writer.write_eof()
        except (ConnectionError, RuntimeError):
            pass
        await self.fine(reader)

    async def download(self, model, most):
        reader, writer = await self.connection.create_stream()
        writer.write(b"\3" + model + u64le(0))
        writer.write_eof()
        await self.fine(reader)
        length = int.from_bytes(await reader.readexactly(8), "little")
        if length > most:
            raise Untrusted("model too long")
        return await reader.readexactly(length)

    async def root(self, version):
        """The signed trust root of this version, or none ([ROOT-1])."""
        reader, writer = await self.connection.create_stream()
        writer.write(b"\6" + u64le(version))
        writer.write_eof()
        try:
            await self.fine(reader)
        except Refused:
            return None
        length = int.from_bytes(await reader.readexactly(4), "little")
        return await reader.readexactly(min(length, 65_536))

    @staticmethod
    async def fine(reader):
        code = (await asyncio.wait_for(reader.readexactly(1), 60))[0]
        if code:
            raise Refused(code)
