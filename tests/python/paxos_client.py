"""A client of a paxosd cluster in plain Python 3, written from docs/PROTOCOL.md alone."""

import select
import socket
import struct
import time
import warnings
from types import SimpleNamespace

LINEARIZABLE, LOCAL = 0, 1
NO_SHARD, BODY_MAX = 0xFFFF, 8_388_608
KINDS = {"Hello": 1, "Ping": 2, "Status": 3, "Map": 4, "Create": 0x10, "Delete": 0x11, "List": 0x12,
         "Stat": 0x13, "Append": 0x14, "Read": 0x15, "Error": 0x8000}
NAMES = {0x8001: "HelloReply", 0x8002: "Pong", 0x8003: "StatusReply", 0x8004: "MapReply",
         0x8010: "Created", 0x8011: "Deleted", 0x8012: "Listed", 0x8013: "Stated",
         0x8014: "Appended", 0x8015: "ReadDone", 0x8000: "Error"}
ERRORS = {1: "NotLeader", 2: "NoQuorum", 3: "NotReady", 4: "Overloaded", 5: "DiskFull",
          6: "ShuttingDown", 7: "LeadershipLost", 8: "Damaged", 9: "TooManyConnections",
          20: "WrongShard", 21: "UnknownLog", 22: "LogExists", 23: "ExpectMismatch",
          24: "PriorFailed", 25: "TooLarge", 26: "BadName", 27: "BadChecksum", 28: "BadRequest",
          29: "Unsupported", 30: "Denied", 31: "Trimmed", 40: "VersionMismatch",
          41: "WrongCluster", 42: "WrongPort", 60: "Internal"}
FIXED = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "bool": "<?", "magic": "<4s",
         "cluster": "<16s", "epoch": "<QH"}
LAYOUTS = {  # sections 5 to 8: the fields in their order; [x] is a list of x
    "Hello": "magic:magic version_min:u16 version_max:u16 cluster:cluster shard:u16 features:u64"
             " credential_kind:u8 credential:bytes16 client:text",
    "Ping": "", "Status": "", "Map": "", "Create": "name:text", "Delete": "log:ref",
    "List": "prefix:text after:text limit:u32 consistency:u8", "Stat": "log:ref consistency:u8",
    "Append": "log:ref chain:u32 options:u16 expect:u64 entries:entries",
    "Read": "log:ref from_index:u64 max_entries:u32 max_bytes:u32 wait_ms:u32 consistency:u8",
    "header": "shard:u16 epoch:epoch applied_upto:u64",
    "HelloReply": "version:u16 cluster:cluster node:u16 shards:u16 features:u64"
                  " frame_bytes_max:u32 entry_bytes_max:u32 append_bytes_max:u32"
                  " append_entries_max:u32 read_bytes_max:u32 read_entries_max:u32"
                  " requests_max:u32 read_wait_ms_max:u32 server:text",
    "Pong": "", "Deleted": "", "Created": "id:u64", "Listed": "logs:[stat] more:bool",
    "StatusReply": "node:u16 cluster:cluster version:text uptime_ms:u64 shard:u16 role:u8"
                   " leader:u16 epoch:epoch promised:epoch durable_upto:u64 chosen_upto:u64"
                   " applied_upto:u64 trimmed_upto:u64 digest:u64 logs:u64 damaged_slots:u64"
                   " segments:u64 disk_bytes:u64 has_room:bool peers:[peer]",
    "peer": "node:u16 connected:bool chosen_upto:u64 lag:u64",
    "MapReply": "cluster:cluster shards:u16 members:[member] leaders:[leader]",
    "member": "node:u16 address:text", "leader": "shard:u16 epoch:epoch leader:u16",
    "stat": "name:text id:u64 next_index:u64 bytes:u64 created_ms:u64",
    "Stated": "log:stat", "Appended": "id:u64 first:u64 count:u32",
    "ReadDone": "id:u64 from_index:u64 next:u64 entries:entries",
    "Error": "code:u16 outcome:u8 retry:u8 retry_after_ms:u32 detail_kind:u8 detail:bytes16"
             " text:text",
    1: "leader:u16 address:text", 2: "log:u64 next:u64", 3: "log:u64", 4: "shard:u16",
    5: "limit:u64", 6: "min:u16 max:u16"}
TABLE = list(range(256))
for _ in range(8):
    TABLE = [(c >> 1) ^ (0x82F63B78 if c & 1 else 0) for c in TABLE]


class PaxosError(Exception):
    """An Error from the node, or (code 0) the end of a connection that left a request open."""

    def __init__(self, text, code=0, outcome=2, retry=0, retry_after_ms=0, detail=None):
        self.code, self.name = code, ERRORS.get(code, f"error {code}") if code else "Disconnected"
        super().__init__(f"{self.name}: {text}")
        self.outcome = outcome if outcome in (0, 1) else 2  # not executed, executed, unknown
        self.retry = retry if retry in (1, 2) else 0  # no, here, elsewhere
        self.retry_after_ms, self.detail, self.text = retry_after_ms, detail, text


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def pack(kind, value):
    if kind in FIXED:
        return struct.pack(FIXED[kind], *(value if isinstance(value, tuple) else (value,)))
    if kind == "ref":
        return b"\1" + pack("u64", value) if isinstance(value, int) else b"\0" + pack("text", value)
    if kind == "entries":
        each = [pack("u32", len(e)) + pack("u32", crc32c(e)) + e for e in value]
        return struct.pack("<II", len(each), sum(map(len, each))) + b"".join(each)
    raw = value.encode() if isinstance(value, str) else value  # text, bytes16
    return pack("u16", len(raw)) + raw


def unpack(kind, data, at):
    """The value of this kind at `at`, and where it ends. Raises ValueError if there is none."""
    if kind in FIXED:
        end = at + struct.calcsize(FIXED[kind])
        if end > len(data) or kind == "bool" and data[at] > 1:
            raise ValueError(f"no {kind} at byte {at}")
        values = struct.unpack_from(FIXED[kind], data, at)
        return (values if len(values) > 1 else values[0]), end
    if kind in ("text", "bytes16", "entry"):
        size, at = unpack("u32" if kind == "entry" else "u16", data, at)
        crc, at = unpack("u32", data, at) if kind == "entry" else (None, at)
        raw = bytes(data[at:at + size])
        if len(raw) < size or crc is not None and crc != crc32c(raw):
            raise ValueError(f"the {kind} at byte {at} is cut or fails its checksum")
        return (raw.decode() if kind == "text" else raw), at + size
    if kind == "entries" or kind[0] == "[":
        count, at = unpack("u32", data, at)
        size, at = unpack("u32", data, at) if kind == "entries" else (None, at)
        values, start = [], at
        for _ in range(count):
            value, at = unpack("entry" if kind == "entries" else kind[1:-1], data, at)
            values.append(value)
        if size is not None and size != at - start:
            raise ValueError("the entries are not as long as they say")
        return values, at
    return fields(kind, data, at)


def fields(layout, data, at=0):
    found = SimpleNamespace()
    for name, kind in (field.split(":") for field in LAYOUTS[layout].split()):
        value, at = unpack(kind, data, at)
        setattr(found, name, value)
    return found, at


def frame(kind, correlation, body=b"", flags=0):
    covered = struct.pack("<HHIQ", kind, flags, 0, correlation) + body
    return struct.pack("<II", len(body), crc32c(covered)) + covered


def request(kind, correlation, **values):
    parts = (field.split(":") for field in LAYOUTS[kind].split())
    return frame(KINDS[kind], correlation, b"".join(pack(type_, values[n]) for n, type_ in parts))


def hello(correlation, shard, cluster=bytes(16), client="paxos_client.py 1"):
    return request("Hello", correlation, magic=b"PAXC", version_min=1, version_max=1, shard=shard,
                   cluster=cluster, features=0, credential_kind=0, credential=b"", client=client)


def take_frame(data):
    """The first frame of `data`: its kind, correlation, body and size; None if it is not whole."""
    if len(data) < 24:
        return None
    length, crc, kind, flags, _, correlation = struct.unpack_from("<IIHHIQ", data)
    if length > BODY_MAX:
        raise ValueError(f"a body of {length} bytes")
    if len(data) < 24 + length:
        return None
    if crc32c(memoryview(data)[8:24 + length]) != crc or flags & 0xFF:
        raise ValueError("a frame with a bad checksum or an unknown flag")
    return kind, correlation, bytes(data[24:24 + length]), 24 + length


def decode(kind, body):
    """A reply as its fields and its `header`; an Error is raised as a PaxosError."""
    if kind not in NAMES:
        raise ValueError(f"unknown kind {kind:#06x}")
    header, at = fields("header", body)
    reply, end = fields(NAMES[kind], body, at)
    if end != len(body) and NAMES[kind] not in ("HelloReply", "Error"):
        raise ValueError(f"{len(body) - end} bytes behind the end of {NAMES[kind]}")
    reply.header = header
    if NAMES[kind] != "Error":
        return reply
    known = reply.detail_kind in range(1, 7)
    detail = fields(reply.detail_kind, reply.detail)[0] if known else None
    raise PaxosError(reply.text, reply.code, reply.outcome, reply.retry, reply.retry_after_ms, detail)


class Connection:
    """One connection to one shard of one node. Pipeline with `send` and `receive`."""

    def __init__(self, address, shard=NO_SHARD, cluster=bytes(16), timeout=10.0):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.input, self.open, self.replies = bytearray(), {}, {}
        self.last, self.closed, self.timeout = 1, False, timeout
        self.open[1] = "Hello"
        self._write(hello(1, shard, cluster))
        self.hello = self.receive(1)
        if self.hello.version != 1:
            raise self._fail(f"version {self.hello.version} was not offered")

    def send(self, kind, **values):
        self.last += 1
        self.open[self.last] = kind
        self._write(request(kind, self.last, **values))
        return self.last

    def receive(self, correlation, timeout=None):
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        while correlation not in self.replies:
            self._turn(b"", until)
        try:
            return decode(*self.replies.pop(correlation))
        except ValueError as error:  # it covers UnicodeDecodeError
            raise self._fail(str(error)) from error

    def call(self, kind, timeout=None, **values):
        return self.receive(self.send(kind, **values), timeout)

    def close(self):
        self.closed = True
        self.socket.close()

    def _fail(self, text):
        self.close()
        return PaxosError(text)

    def _write(self, data):
        until = time.monotonic() + self.timeout
        while data:
            data = data[self._turn(data, until):]

    def _turn(self, output, until):
        """Waits once: reads what there is, so that the node never waits for us, and writes."""
        if self.closed:
            raise PaxosError("the connection is closed")
        try:
            readable, writable, _ = select.select(
                [self.socket], [self.socket] if output else [], [], max(0, until - time.monotonic()))
            if not readable and not writable:
                raise self._fail("no answer in time")
            data = self.socket.recv(1 << 18) if readable else b""
            if readable and not data:
                raise self._fail("the node closed the connection")
            self.input += data
            while (found := take_frame(self.input)) is not None:
                kind, correlation, body, size = found
                del self.input[:size]
                self._sort(kind, correlation, body)
            return self.socket.send(output) if writable else 0
        except (OSError, ValueError) as error:
            raise self._fail(str(error)) from error

    def _sort(self, kind, correlation, body):
        if correlation in self.open:
            if kind not in (KINDS["Error"], KINDS[self.open.pop(correlation)] | 0x8000):
                raise ValueError(f"kind {kind:#06x} does not answer request {correlation}")
            self.replies[correlation] = (kind, body)
        elif correlation == 0 and kind == KINDS["Error"]:
            try:
                decode(kind, body)
            except PaxosError as error:  # about the connection: what is open stays unknown
                raise self._fail(str(error)) from error
        elif correlation != 0 or not kind & 0x4000:
            raise ValueError(f"a frame for request {correlation}, which is not open")


class Client:
    """Routes by shard, follows leaders, and repeats what may be repeated until its deadline."""

    def __init__(self, addresses, cluster=bytes(16), timeout=10.0):
        self.addresses, self.cluster, self.timeout = list(addresses), cluster, timeout
        self.leaders, self.links, self.seen = {}, {}, {}
        self.shards = self.map().shards

    def close(self):
        for link in self.links.values():
            link.close()

    def connection(self, address, shard=NO_SHARD):
        link = self.links.get((address, shard))
        if link is None or link.closed:
            link = Connection(address, shard, self.cluster, self.timeout / 3)
            self.links[address, shard] = link
        return link

    def map(self):
        failure = None
        for address in list(self.addresses):
            try:
                found = self.connection(address).call("Map")
                break
            except (OSError, PaxosError) as error:
                failure = error
                self._rotate()
        else:
            raise PaxosError(f"no node answers: {failure}", outcome=0, retry=2) from failure
        members = {member.node: member.address for member in found.members}
        self.addresses += [a for a in members.values() if a not in self.addresses]
        for leader in found.leaders:
            if leader.epoch >= self.leaders.get(leader.shard, ((0, 0), None))[0]:
                self.leaders[leader.shard] = (leader.epoch, members.get(leader.leader))
        return found

    def call(self, shard, kind, poll=0.0, **values):
        until, pause, hops = time.monotonic() + self.timeout + poll, 0.1, 0
        changes = kind in ("Create", "Delete", "Append")
        while True:
            epoch, address = self.leaders.get(shard, ((0, 0), None))
            sent = False
            try:
                link = self.connection(address or self.addresses[0], shard)
                limit = max(0, until - time.monotonic())
                if not changes:  # it may be asked again, of another node
                    limit = min(limit, poll + self.timeout / 3)
                sent = True
                reply = link.call(kind, limit, **values)
                self._check(shard, values.get("consistency") == LOCAL, reply.header)
                return reply
            except OSError as error:
                failure = PaxosError(str(error), outcome=0, retry=2)
            except PaxosError as error:
                failure = error
            again = (failure.retry and not failure.outcome
                     or failure.outcome == 2 and not (sent and changes) and failure.code in (0, 7))
            leader = getattr(failure.detail, "address", "")
            if failure.code == 1 and leader and hops < 3:
                self.leaders[shard], hops, wait = (epoch, leader), hops + 1, 0.0
            else:
                wait, hops = max(pause, failure.retry_after_ms / 1000), 0
                pause = min(2 * pause, 1.0)
            if not again or sent and values.get("chain") or time.monotonic() + wait >= until:
                raise failure
            time.sleep(wait)
            if hops == 0 and failure.retry != 1:
                self.leaders[shard] = (epoch, None)
                self._rotate()
                try:
                    self.map()
                except PaxosError:
                    pass  # it is tried again after the next pause

    def shard_of(self, log):
        return log >> 48 if isinstance(log, int) else crc32c(log.encode()) % self.shards

    def create(self, name):
        return self.call(self.shard_of(name), "Create", name=name).id

    def delete(self, log):
        self.call(self.shard_of(log), "Delete", log=log)

    def stat(self, log, consistency=LINEARIZABLE):
        return self.call(self.shard_of(log), "Stat", log=log, consistency=consistency).log

    def list(self, prefix="", consistency=LINEARIZABLE, page=0):
        found = []
        for shard in range(self.shards):
            after, more = "", True
            while more:
                reply = self.call(shard, "List", prefix=prefix, after=after, limit=page,
                                  consistency=consistency)
                found += reply.logs
                more, after = reply.more and reply.logs, reply.logs[-1].name if reply.logs else ""
        return sorted(found, key=lambda log: log.name.encode())

    def append(self, log, entries, expect=None, chain=0, create=False):
        return self.call(self.shard_of(log), "Append", log=log, chain=chain, entries=entries,
                         options=int(create) | (expect is not None) << 1, expect=expect or 0)

    def read(self, log, from_index=0, max_entries=0, max_bytes=0, wait_ms=0,
             consistency=LINEARIZABLE):
        return self.call(self.shard_of(log), "Read", wait_ms / 1000, log=log, wait_ms=wait_ms,
                         from_index=from_index, max_entries=max_entries, max_bytes=max_bytes,
                         consistency=consistency)

    def status(self, address=None, shard=NO_SHARD):
        return self.connection(address or self.addresses[0], shard).call("Status")

    def ping(self, address=None):
        return self.connection(address or self.addresses[0]).call("Ping")

    def _rotate(self):
        self.addresses.append(self.addresses.pop(0))

    def _check(self, shard, local, header):
        now = (header.epoch, header.applied_upto)
        then = self.seen.get(shard, now)
        if not local and (now[0] < then[0] or now[1] < then[1]):
            warnings.warn(f"shard {shard} went back from {then} to {now}: an older state?")
        if not local:
            self.seen[shard] = now
