"""A client of a paxosd cluster in plain Python 3, written from docs/PROTOCOL.md alone."""

import io
import re
import socket
import struct
import time
from types import SimpleNamespace

LINEARIZABLE, LOCAL, CREATE, EXPECT = 0, 1, 1, 2  # consistency; options of an Append
ANY_CLUSTER, NO_SHARD, BODY_MAX = bytes(16), 0xFFFF, 8_388_608
CHANGES = ("Create", "Delete", "Append", "SetAttributes")
FIELDS = re.compile(r"(\w+):(\S+)").findall
MESSAGES = {  # kind, request, reply; the type of a field is a word, or letters of Python's `struct`
    "Error": (0x00, "", "code:H outcome:B retry:B retry_after_ms:I detail_kind:B detail:bytes"
              " text:text"),
    "Hello": (0x01, "magic:4s version_min:H version_max:H cluster:16s shard:H features:Q"
              " credential_kind:B credential:bytes client:text",
              "version:H cluster:16s node:H shards:H features:Q frame_bytes_max:I entry_bytes_max:I"
              " append_bytes_max:I append_entries_max:I read_bytes_max:I read_entries_max:I"
              " requests_max:I read_wait_ms_max:I server:text"),
    "Status": (0x03, "", "node:H cluster:16s version:text uptime_ms:Q disk_free_bytes:Q"
               " disk_total_bytes:Q disk_min_free_bytes:Q shard:H role:B leader:H"
               " epoch:QH promised:QH durable_upto:Q chosen_upto:Q applied_upto:Q trimmed_upto:Q"
               " digest:Q logs:Q damaged_slots:Q segments:Q disk_bytes:Q dead_bytes:Q"
               " reserve_bytes:Q kept_for:text has_room:?"
               " caught_up:? syncs:Q sync_us:Q formed:? unmet:[unmet] peers:[peer]"
               " level:H known_level:H installing:? source:H slot:Q phase:B bytes:Q part_bytes:Q"
               " absent_slots:Q fetched_values:Q"),
    "Map": (0x04, "", "cluster:16s shards:H members:[member] leaders:[leader]"),
    "Ping": (0x02, "", ""),
    "Create": (0x10, "name:text retain_bytes:Q retain_entries:Q retain_age_ms:Q", "id:Q"),
    "Delete": (0x11, "log:ref", ""),
    "List": (0x12, "prefix:text after:text limit:I consistency:B", "logs:[stat] more:?"),
    "Stat": (0x13, "log:ref consistency:B", "log:stat"),
    "Append": (0x14, "log:ref chain:I options:H expect:Q entries:entries", "id:Q first:Q count:I"),
    "Read": (0x15, "log:ref from_:Q max_entries:I max_bytes:I wait_ms:I consistency:B",
             "id:Q from_:Q first:Q next:Q entries:entries"),
    "Trim": (0x16, "log:ref before:Q", "id:Q first:Q next:Q"),
    "SetAttributes": (0x17, "log:ref retain_bytes:?Q retain_entries:?Q retain_age_ms:?Q"
                      " seal:?", ""),
    "DeclareLost": (0x18, "log:ref from_:Q before:Q", "id:Q from_:Q before:Q"),
    "ListLost": (0x19, "log:ref consistency:B", "id:Q ranges:[range]")}
RECORDS = {  # what messages are made of, and by their numbers the details of an Error
    "header": "shard:H epoch:QH applied_upto:Q", "leader": "shard:H epoch:QH leader:H",
    "member": "node:H address:text", "peer": "node:H connected:? known:? chosen_upto:Q lag:Q trouble:text",
    "unmet": "node:H", "range": "from_:Q before:Q",
    "stat": "name:text id:Q first_index:Q next_index:Q bytes:Q created_ms:Q version:Q retain_bytes:Q"
            " retain_entries:Q retain_age_ms:Q sealed:?", 1: "leader:H address:text",
    2: "log:Q next:Q", 3: "log:Q", 4: "shard:H", 5: "limit:Q", 6: "min:H max:H",
    7: "unmet:[unmet]", 8: "log:Q first:Q", 9: "log:Q from_:Q before:Q"}
CRC_TABLE = list(range(256))
for _ in range(8):
    CRC_TABLE = [(c >> 1) ^ (0x82F63B78 if c & 1 else 0) for c in CRC_TABLE]


class PaxosError(Exception):
    """An Error from a node; with code 0, a connection that failed or ended."""

    def __init__(self, text, code=0, outcome=0, retry=2, retry_after_ms=0, detail=None,
                 header=None, **_):
        super().__init__(f"error {code}: {text}")
        self.header = header
        self.code, self.text, self.detail, self.retry_after_ms = code, text, detail, retry_after_ms
        self.outcome = min(outcome, 2)  # 0 not executed, 1 executed, 2 unknown
        self.retry = retry if retry <= 2 else 0  # 0 no, 1 here, 2 elsewhere


def check(holds, otherwise):
    if not holds:
        raise ValueError(otherwise)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def pack(type_, value):
    if type_ in ("text", "bytes"):
        raw = value.encode() if type_ == "text" else value
        return struct.pack("<H", len(raw)) + raw
    if type_ == "ref":
        return b"\1" + pack("Q", value) if isinstance(value, int) else b"\0" + pack("text", value)
    if type_ == "entries":
        packed = b"".join(struct.pack("<II", len(e), crc32c(e)) + e for e in value)
        return struct.pack("<II", len(value), len(packed)) + packed
    return struct.pack("<" + type_, *(value if isinstance(value, tuple) else (value,)))


def unpack(type_, stream):
    """The next value of a stream, or the fields of a whole layout."""
    layout = RECORDS.get(type_, type_)
    if ":" in layout:
        return SimpleNamespace(**{name: unpack(each, stream) for name, each in FIELDS(layout)})
    if type_[0] == "[":
        return [unpack(type_[1:-1], stream) for _ in range(unpack("I", stream))]
    if type_ in ("text", "bytes"):
        data = unpack(f"{unpack('H', stream)}s", stream)
        return data.decode() if type_ == "text" else data
    if type_ == "entries":
        (count, size), entries = unpack("II", stream), []
        for _ in range(count):
            length, crc = unpack("II", stream)
            entries.append(unpack(f"{length}s", stream))
            check(crc32c(entries[-1]) == crc, "an entry does not fit its checksum")
        check(sum(8 + len(entry) for entry in entries) == size, "entries of another size")
        return entries
    data = stream.read(struct.calcsize("<" + type_))
    check(len(data) == struct.calcsize("<" + type_), "it ends too soon")
    check(type_ != "?" or data[0] <= 1, "a bool is neither 0 nor 1")
    values = struct.unpack("<" + type_, data)
    return values if len(values) > 1 else values[0]


def request(name, correlation, /, **values):
    """The frame of a request. Numbers that are not given are 0."""
    kind, layout, _ = MESSAGES[name]
    body = b"".join(pack(type_, values.get(field, 0)) for field, type_ in FIELDS(layout))
    covered = struct.pack("<HHIQ", kind, 0, 0, correlation) + body
    return struct.pack("<II", len(body), crc32c(covered)) + covered


def read_frame(stream):
    """The kind, the correlation and the body of the next frame."""
    length, crc = unpack("II", stream)
    check(length <= BODY_MAX, f"a body of {length} bytes")
    covered = unpack(f"{16 + length}s", stream)
    kind, flags, _, correlation = struct.unpack_from("<HHIQ", covered)
    check(crc32c(covered) == crc and not flags & 0xFF, "a bad checksum or an unknown flag")
    return kind, correlation, covered[16:]


def decode(name, body):
    """The reply to a request, with its `header`. An Error is raised as a PaxosError."""
    stream = io.BytesIO(body)
    reply = unpack("header:header " + MESSAGES[name][2], stream)
    check(name in ("Hello", "Error") or not stream.read(), "bytes behind the last field")
    if name == "Error":
        known = RECORDS.get(reply.detail_kind)
        reply.detail = unpack(known, io.BytesIO(reply.detail)) if known else None
        raise PaxosError(**vars(reply))
    return reply


class Connection:
    """A connection to one shard of one node, for one request at a time."""

    def __init__(self, address, shard=NO_SHARD, cluster=ANY_CLUSTER, timeout=5.0):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.timeout, self.last, self.given_up = b"", timeout, 0, {}
        try:
            self.hello = self.call("Hello", magic=b"PAXC", version_min=1, version_max=1,
                                   shard=shard, cluster=cluster, credential=b"",
                                   client="paxos_client.py")
            check(self.hello.version == 1, f"version {self.hello.version} was not offered")
        except BaseException:
            self.close()
            raise

    def close(self):
        self.socket.close()

    def call(self, name, /, timeout=None, **values):
        """Sends a request and waits for its reply. One that takes too long is given up; the
        connection is kept."""
        self.last += 1
        timeout = (timeout or self.timeout) + values.get("wait_ms", 0) / 1000
        self.socket.settimeout(timeout)
        self.socket.sendall(request(name, self.last, **values))
        until = time.monotonic() + timeout
        while True:
            try:
                kind, correlation, body = self.next_frame(until)
            except TimeoutError:
                self.given_up[self.last] = name
                raise
            if correlation == 0 and kind & 0x4000:
                continue  # a notice of a later version
            late = self.given_up.pop(correlation, None)
            answer = {0x8000: "Error", MESSAGES[late or name][0] | 0x8000: late or name}.get(kind)
            if correlation == 0 and answer == "Error":
                break  # of the connection as a whole, a Hello that could not be read among it
            check(answer and (late or correlation == self.last),
                  f"kind {kind:#06x} under correlation {correlation} answers no request")
            if not late:
                break
        return decode(answer, body)

    def answers(self):
        """Whether the node still answers: a Ping shows a slow request or a dead connection."""
        try:
            return bool(self.call("Ping", timeout=0.25))
        except (OSError, ValueError, PaxosError):
            return False

    def next_frame(self, until):
        """The next frame. What there is of one that comes too late is kept."""
        while True:
            if len(self.data) >= 4:
                size = 24 + struct.unpack_from("<I", self.data)[0]
                check(size <= 24 + BODY_MAX, f"a body of {size - 24} bytes")
                if len(self.data) >= size:
                    whole, self.data = self.data[:size], self.data[size:]
                    return read_frame(io.BytesIO(whole))
            self.socket.settimeout(max(until - time.monotonic(), 0.001))
            more = self.socket.recv(1 << 20)
            if not more:
                raise ConnectionError("the node closed the connection")
            self.data += more


class Client:
    """Asks the leaders of shards, and asks again where section 8 allows it."""

    def __init__(self, addresses, cluster=ANY_CLUSTER, timeout=5.0):
        self.addresses, self.cluster, self.timeout = list(addresses), cluster, timeout
        self.links, self.leaders = {}, {}
        found = self.call("Map", NO_SHARD)
        self.shards = found.shards
        self.addresses += [m.address for m in found.members if m.address not in self.addresses]

    def shard_of(self, log):
        return log >> 48 if isinstance(log, int) else crc32c(log.encode()) % self.shards

    def ask(self, address, shard, name, /, **values):
        """Asks one node once. The connection is kept, unless it failed or the answer is an Error."""
        link = self.links.pop((address, shard), None)
        if link and link.given_up and not link.answers():
            link = link.close()
        try:
            link = link or Connection(address, shard, self.cluster, self.timeout)
            reply = link.call(name, **values)
        except (OSError, ValueError) as error:
            if link and link.last in link.given_up:
                self.links[address, shard] = link
            unknown = link and name in CHANGES
            raise PaxosError(f"{address}: {error}", outcome=2 if unknown else 0) from error
        self.links[address, shard] = link
        return reply

    def call(self, name, shard=None, /, **values):
        """Asks a shard's leader, or each node in turn, for up to three timeouts."""
        shard = self.shard_of(values.get("log", values.get("name"))) if shard is None else shard
        until, pause = time.monotonic() + 3 * self.timeout + values.get("wait_ms", 0) / 1000, 0
        while True:
            try:
                return self.ask(self.leaders.get(shard) or self.addresses[0], shard, name, **values)
            except PaxosError as error:
                again = error.retry if error.outcome == 0 else name not in CHANGES
                if not again or values.get("chain") or time.monotonic() >= until:
                    raise
                if error.retry != 1:
                    self.addresses.append(self.addresses.pop(0))
                    self.leaders[shard] = getattr(error.detail, "address", "")
                time.sleep(max(pause, error.retry_after_ms / 1000))
            pause = min(pause + 0.1, 1)
