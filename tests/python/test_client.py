"""Holds paxos_client.py against docs/protocol-vectors.txt and, with PAXOS_ENDPOINT, a live node."""

import io
import os
import pathlib
import select
import socket
import struct
import threading
import time
import unittest
import uuid
import warnings

import paxos_client as paxos
from paxos_client import ANY_CLUSTER, LINEARIZABLE, LOCAL, NO_SHARD, Client, Connection, PaxosError

VECTORS = pathlib.Path(__file__).parents[2] / "docs" / "protocol-vectors.txt"
ENDPOINT = os.environ.get("PAXOS_ENDPOINT", "")
CLUSTER = bytes.fromhex("00112233445566778899aabbccddeeff")
CODES = {1: "NotLeader", 2: "NoQuorum", 3: "NotReady", 4: "Overloaded", 5: "DiskFull",
         6: "ShuttingDown", 7: "LeadershipLost", 8: "Damaged", 9: "TooManyConnections",
         20: "WrongShard", 21: "UnknownLog", 22: "LogExists", 23: "ExpectMismatch",
         24: "PriorFailed", 25: "TooLarge", 26: "BadName", 27: "BadChecksum", 28: "BadRequest",
         29: "Unsupported", 30: "Denied", 31: "Trimmed", 32: "Sealed", 33: "PastEnd", 34: "Lost",
         35: "NotLost", 40: "VersionMismatch", 41: "WrongCluster", 42: "WrongPort",
         60: "Internal"}
REPLIES_TO = {kind | 0x8000: name for name, (kind, _, _) in paxos.MESSAGES.items()}


def read_vectors():
    """Name to (what is said of it, bytes), without what nodes say to each other."""
    vectors, name = {}, None
    for line in VECTORS.read_text("utf-8").splitlines():
        if line == "# What nodes say to each other":
            break
        if line.startswith("== "):
            name = line[3:]
            vectors[name] = ([], bytearray())
        elif line.startswith("-- "):
            vectors[name][0].append(line[3:])
        elif line and not line.startswith("#"):
            vectors[name][1].extend(bytes.fromhex(line))
    return {name: (said, bytes(data)) for name, (said, data) in vectors.items()}


def frame(kind, correlation, body=b"", flags=0):
    covered = struct.pack("<HHIQ", kind, flags, 0, correlation) + body
    return struct.pack("<II", len(body), paxos.crc32c(covered)) + covered


def take_frame(data):
    """The first frame of `data`: its kind, correlation, body and size; None if it is not whole."""
    if len(data) < 24 or len(data) < 24 + struct.unpack_from("<I", data)[0] <= 24 + paxos.BODY_MAX:
        return None
    kind, correlation, body = paxos.read_frame(io.BytesIO(data))
    return kind, correlation, body, 24 + len(body)


def decode(kind, body):
    if kind not in REPLIES_TO:
        raise ValueError(f"unknown kind {kind:#06x}")
    return paxos.decode(REPLIES_TO[kind], body)


def hello(correlation, shard, cluster=ANY_CLUSTER, client="test_client.py"):
    return paxos.request("Hello", correlation, magic=b"PAXC", version_min=1, version_max=1,
                         shard=shard, cluster=cluster, credential=b"", client=client)


def create(correlation, name, retain_bytes=0, retain_entries=0, retain_age_ms=0):
    return paxos.request("Create", correlation, name=name, retain_bytes=retain_bytes,
                         retain_entries=retain_entries, retain_age_ms=retain_age_ms)


def append(correlation, log="orders", chain=0, options=0, expect=0, entries=(b"hello",)):
    return paxos.request("Append", correlation, log=log, chain=chain, options=options,
                         expect=expect, entries=entries)


def altered(data, at, xor):
    return data[:at] + bytes([data[at] ^ xor]) + data[at + 1:]


def bad_entry():
    body = altered(append(10)[24:], len(append(10)) - 25, 1)
    return frame(0x14, 10, body)


REQUESTS = {
    "hello": lambda: hello(1, 0, client="example 1.0"),
    "hello-any-shard": lambda: hello(1, 0xFFFF, CLUSTER, ""),
    "ping": lambda: paxos.request("Ping", 2),
    "status": lambda: paxos.request("Status", 3),
    "map": lambda: paxos.request("Map", 4),
    "create": lambda: create(5, "orders"),
    "create-unicode": lambda: create(6, "größe/✓"),
    "create-retaining": lambda: create(23, "orders", 1 << 30, 3, 604_800_000),
    "delete": lambda: paxos.request("Delete", 7, log=1),
    "list": lambda: paxos.request("List", 8, prefix="or", after="oranges", limit=100,
                                  consistency=LOCAL),
    "stat": lambda: paxos.request("Stat", 9, log="orders", consistency=LINEARIZABLE),
    "append": lambda: append(10),
    "append-create": lambda: append(11, options=1),
    "append-chain": lambda: append(12, 1, 7, 2, 1, (b"second", b"", b"third")),
    "read": lambda: paxos.request("Read", 13, log="orders", from_=0, max_entries=10,
                                  max_bytes=65536, wait_ms=1500, consistency=LINEARIZABLE),
    "read-local": lambda: paxos.request("Read", 14, log=1, from_=5, max_entries=0,
                                        max_bytes=0, wait_ms=0, consistency=LOCAL),
    "trim": lambda: paxos.request("Trim", 21, log="orders", before=1),
    "set-attributes": lambda: paxos.request("SetAttributes", 22, log=1, retain_bytes=(False, 0),
                                            retain_entries=(True, 3), retain_age_ms=(False, 0),
                                            seal=True),
    "declare-lost": lambda: paxos.request("DeclareLost", 23, log=1, from_=1, before=3),
    "list-lost": lambda: paxos.request("ListLost", 24, log="orders", consistency=LINEARIZABLE),
}
REFUSED = {
    "bad-frame-checksum": lambda: altered(paxos.request("Ping", 2), 16, 1),
    "frame-too-large": lambda: struct.pack("<I", 8_388_609) + paxos.request("Ping", 2)[4:],
    "trailing-byte": lambda: frame(2, 2, b"\0"),
    "cut-body": lambda: frame(0x11, 7, paxos.request("Delete", 7, log=1)[24:-1]),
    "correlation-zero": lambda: paxos.request("Ping", 0),
    "unknown-kind": lambda: frame(0x0777, 2),
    "critical-flag": lambda: frame(2, 2, flags=0x80),
    "unknown-option": lambda: append(10, options=4),
    "create-by-id": lambda: append(10, log=1, options=1),
    "bad-name": lambda: create(5, "\trders"),
    "bad-entry-checksum": bad_entry,
    "no-entries": lambda: append(10, entries=()),
}
ORDERS = {"name": "orders", "id": 1, "first_index": 1, "next_index": 4, "bytes": 16,
          "created_ms": 1_700_000_000_000, "version": 2, "retain_bytes": 1 << 30, "retain_entries": 3,
          "retain_age_ms": 604_800_000, "sealed": True}
REPLIES = {
    "hello-reply": (1, {
        "version": 1, "cluster": CLUSTER, "node": 2, "shards": 2, "features": 0,
        "frame_bytes_max": 8388608, "entry_bytes_max": 1048576, "append_bytes_max": 4325376,
        "append_entries_max": 16384, "read_bytes_max": 4194304, "read_entries_max": 65536,
        "requests_max": 1024, "read_wait_ms_max": 60000, "server": "paxosd 0.1.0"}),
    "pong": (2, {}),
    "status-reply": (3, {
        "node": 2, "cluster": CLUSTER, "version": "0.1.0", "uptime_ms": 60000,
        "disk_free_bytes": 40 << 30, "disk_total_bytes": 100 << 30,
        "disk_min_free_bytes": 256 << 20, "shard": 0,
        "role": 2, "leader": 2, "epoch": (5, 2), "promised": (5, 2), "durable_upto": 90,
        "chosen_upto": 41, "applied_upto": 41, "trimmed_upto": 0, "digest": 0x0123456789ABCDEF,
        "logs": 1, "damaged_slots": 0, "segments": 2, "disk_bytes": 134217728,
        "dead_bytes": 64 << 20, "reserve_bytes": 1 << 20, "kept_for": "it has live entries",
        "has_room": True,
        "caught_up": True, "syncs": 50, "sync_us": 12500, "formed": True, "unmet": [],
        "peers": [{"node": 1, "connected": True, "known": True, "chosen_upto": 40, "lag": 1,
                   "trouble": ""},
                  {"node": 3, "connected": False, "known": False, "chosen_upto": 0, "lag": 0,
                   "trouble": "127.0.0.3:7421: Connection refused"}],
        "level": 1, "known_level": 2, "installing": True, "source": 3, "slot": 32, "phase": 1,
        "bytes": 112, "part_bytes": 560, "absent_slots": 6, "fetched_values": 2}),
    "map-reply": (4, {
        "cluster": CLUSTER, "shards": 2,
        "members": [{"node": 1, "address": "10.0.0.1:7420"},
                    {"node": 2, "address": "10.0.0.2:7420"},
                    {"node": 3, "address": "node3.example:7420"}],
        "leaders": [{"shard": 0, "epoch": (5, 2), "leader": 2},
                    {"shard": 1, "epoch": (4, 3), "leader": 0}]}),
    "created": (5, {"id": 1}),
    "deleted": (7, {}),
    "listed": (8, {"logs": [ORDERS], "more": True}),
    "stated": (9, {"log": ORDERS}),
    "appended-first": (10, {"id": 1, "first": 0, "count": 1}),
    "appended": (12, {"id": 1, "first": 1, "count": 3}),
    "trimmed": (21, {"id": 1, "first": 1, "next": 4}),
    "attributes-set": (22, {}),
    "declared-lost": (23, {"id": 1, "from_": 1, "before": 3}),
    "listed-lost": (24, {"id": 1, "ranges": [{"from_": 1, "before": 3}, {"from_": 9, "before": 10}]}),
    "read-done": (13, {"id": 1, "from_": 0, "first": 0, "next": 4, "entries": [b"hello", b"second"]}),
    "read-empty": (14, {"id": 1, "from_": 5, "first": 0, "next": 4, "entries": []}),
}
ERRORS = {  # correlation; name, outcome, retry, detail, text
    "hello-refused": (1, "VersionMismatch", 0, 0, {"min": 1, "max": 1},
                      "the client speaks versions 2 to 3, this node 1 to 1"),
    "not-leader": (10, "NotLeader", 0, 2, {"leader": 2, "address": "10.0.0.2:7420"},
                   "node 2 at 10.0.0.2:7420 leads the shard"),
    "not-leader-unknown": (10, "NotLeader", 0, 2, {"leader": 0, "address": ""},
                           "this node does not lead the shard and knows of no leader"),
    "unformed": (10, "NoQuorum", 0, 2, {"unmet": [{"node": 3}]}, "it waits for node 3"),
    "expect-mismatch": (12, "ExpectMismatch", 0, 0, {"log": 1, "next": 4},
                        "expected next index 1, but it is 4"),
    "log-exists": (5, "LogExists", 0, 0, {"log": 1}, "the name belongs to log 1"),
    "error-lost": (24, "Lost", 0, 0, {"log": 1, "from_": 1, "before": 3},
                   "entries 1 to 2 were declared lost: no member has them any more; read on from 3"),
    "wrong-shard": (9, "WrongShard", 0, 0, {"shard": 1}, "the log lives in shard 1"),
    "leadership-lost": (10, "LeadershipLost", 2, 0, None, "leadership was lost"),
    "unrecognised-error": (10, "error 9999", 2, 0, None, "an error of a later version"),
}


class Pipeline(Connection):
    """A connection with any number of requests under way; their replies come in any order."""

    def __init__(self, *args, **values):
        self.open, self.replies = {}, {}
        super().__init__(*args, **values)

    def send(self, name, /, **values):
        self.last += 1
        self.open[self.last] = name
        self.socket.settimeout(30)
        self.socket.sendall(paxos.request(name, self.last, **values))
        return self.last

    def receive(self, correlation, timeout=10):
        until = time.monotonic() + timeout
        while correlation not in self.replies:
            kind, answered, body = self.next_frame(until)
            name = self.open.pop(answered, None)
            if name is None or REPLIES_TO.get(kind) not in ("Error", name):
                raise ValueError(f"kind {kind:#06x} does not answer request {answered}, {name}")
            if answered in self.given_up:
                del self.given_up[answered]
            else:
                self.replies[answered] = kind, body
        return decode(*self.replies.pop(correlation))

    def give_up(self, correlation):
        self.given_up[correlation] = self.open[correlation]

    def call(self, name, /, **values):
        return self.receive(self.send(name, **values))


class Cluster(Client):
    """A client with a method for each request, which says so loudly when a shard goes back."""

    def __init__(self, *args, **values):
        self.seen = {}
        super().__init__(*args, **values)

    def close(self):
        for link in self.links.values():
            link.close()

    def ask(self, address, shard, name, /, **values):
        reply = super().ask(address, shard, name, **values)
        if shard != NO_SHARD and values.get("consistency") != LOCAL:
            now = (reply.header.epoch, reply.header.applied_upto)
            then = self.seen.get(shard, now)
            if now[0] < then[0] or now[1] < then[1]:
                warnings.warn(f"shard {shard} went back from {then} to {now}: an older state?")
            self.seen[shard] = now
        return reply

    def map(self):
        return self.call("Map", NO_SHARD)

    def create(self, name, retain_bytes=0, retain_entries=0, retain_age_ms=0):
        return self.call("Create", name=name, retain_bytes=retain_bytes,
                         retain_entries=retain_entries, retain_age_ms=retain_age_ms).id

    def delete(self, log):
        self.call("Delete", log=log)

    def stat(self, log, consistency=LINEARIZABLE):
        return self.call("Stat", log=log, consistency=consistency).log

    def list(self, prefix="", consistency=LINEARIZABLE, page=0):
        found = []
        for shard in range(self.shards):
            after = ""
            while after is not None:
                reply = self.call("List", shard, prefix=prefix, after=after, limit=page,
                                  consistency=consistency)
                found += reply.logs
                after = reply.logs[-1].name if reply.more else None
        return sorted(found, key=lambda log: log.name.encode())

    def append(self, log, entries, **values):
        return self.call("Append", log=log, **append_fields(entries, **values))

    def read(self, log, from_=0, **values):
        return self.call("Read", log=log, from_=from_, **values)

    def declare_lost(self, log, from_, before):
        timeout = self.timeout + 5  # members read their disks for so long
        return self.call("DeclareLost", log=log, from_=from_, before=before, timeout=timeout)

    def list_lost(self, log, consistency=LINEARIZABLE):
        reply = self.call("ListLost", log=log, consistency=consistency)
        return [(lost.from_, lost.before) for lost in reply.ranges]

    def read_past_lost(self, log, at=0):
        """All entries that are left, each with its index."""
        found = []
        while True:
            try:
                read = self.read(log, at)
            except PaxosError as error:
                if name_of(error.code) != "Lost":
                    raise
                at = error.detail.before
                continue
            found += enumerate(read.entries, at)
            at += len(read.entries)
            if at >= read.next:
                return found


def append_fields(entries, expect=None, chain=0, create=False):
    options = paxos.CREATE * create | paxos.EXPECT * (expect is not None)
    return {"entries": entries, "chain": chain, "options": options, "expect": expect or 0}


def name_of(code):
    return CODES.get(code, f"error {code}")


def plain(value):
    """Decoded fields as dictionaries, to compare whole replies at once."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {n: plain(v) for n, v in vars(value).items()} if hasattr(value, "__dict__") else value


class Refusals(unittest.TestCase):
    def refused(self, name, call, *args, **values):
        with self.assertRaises(PaxosError) as caught:
            call(*args, **values)
        self.assertEqual(name_of(caught.exception.code), name)
        return caught.exception


class Offline(Refusals):
    def setUp(self):
        self.vectors = read_vectors()

    def test_every_vector_has_its_test(self):
        tables = [REQUESTS, REFUSED, REPLIES, ERRORS]
        self.assertEqual(sorted(self.vectors), sorted(name for table in tables for name in table))

    def test_requests_byte_for_byte(self):
        for name, encode in (REQUESTS | REFUSED).items():
            with self.subTest(name):
                self.assertEqual(encode().hex(" "), self.vectors[name][1].hex(" "))

    def test_replies(self):
        for name, (correlation, expected) in REPLIES.items():
            with self.subTest(name):
                kind, got, body, size = take_frame(self.vectors[name][1])
                reply = plain(decode(kind, body))
                header = reply.pop("header")
                self.assertEqual((got, size), (correlation, len(self.vectors[name][1])))
                # What took a slot has its own among those applied.
                slotted = (0x8010, 0x8011, 0x8014, 0x8016, 0x8017, 0x8018)
                applied = 42 if kind in slotted else 41
                self.assertEqual(header, {"shard": 0, "epoch": (5, 2), "applied_upto": applied})
                self.assertEqual(reply, expected)

    def test_errors(self):
        for name, (correlation, *expected) in ERRORS.items():
            with self.subTest(name):
                kind, got, body, _ = take_frame(self.vectors[name][1])
                with self.assertRaises(PaxosError) as caught:
                    decode(kind, body)
                error = caught.exception
                self.assertEqual(got, correlation)
                self.assertEqual(expected, [name_of(error.code), error.outcome, error.retry,
                                            error.detail and plain(error.detail), error.text])

    def test_checksums_and_shards_of_the_page(self):
        self.assertEqual((paxos.crc32c(b""), paxos.crc32c(b"123456789")), (0, 0xE3069283))
        shards = {"orders": (0, 2, 3), "123456789": (1, 3, 2), "größe/✓": (0, 0, 0)}
        for name, expected in shards.items():
            crc = paxos.crc32c(name.encode())
            self.assertEqual((crc % 2, crc % 4, crc % 7), expected)

    def test_what_a_client_refuses(self):
        whole = self.vectors["read-done"][1]
        for at in range(4, len(whole)):  # the checksum covers every byte behind the length
            with self.subTest(at), self.assertRaises(ValueError):
                take_frame(altered(whole, at, 1))
        for cut in range(len(whole)):
            with self.subTest(cut=cut), self.assertRaises(ValueError):
                paxos.read_frame(io.BytesIO(whole[:cut]))
        with self.assertRaisesRegex(ValueError, "8388609"):  # before it reads so far
            take_frame(struct.pack("<I", paxos.BODY_MAX + 1) + whole[4:])
        with self.assertRaises(ValueError):
            take_frame(frame(0x8002, 1, flags=1))
        self.assertIsNotNone(take_frame(frame(0x8002, 1, flags=0x100)))
        for name in REPLIES:
            kind, _, body, _ = take_frame(self.vectors[name][1])
            for cut in range(len(body)):
                with self.subTest(name, cut=cut), self.assertRaises(ValueError):
                    decode(kind, body[:cut])
            if name == "hello-reply":
                decode(kind, body + b"\0")  # section 13: ignored here and in an Error alone
            else:
                with self.assertRaises(ValueError):
                    decode(kind, body + b"\0")
        _, _, body, _ = take_frame(whole)
        with self.assertRaises(ValueError):  # the length of all entries together, at 20 + 36
            decode(0x8015, altered(body, 56, 1))
        _, _, listed, _ = take_frame(self.vectors["listed"][1])
        with self.assertRaises(ValueError):  # `more`, its last byte, is neither 0 nor 1
            decode(0x8012, listed[:-1] + b"\2")
        with self.assertRaises(ValueError):  # the last byte of the last entry: its own checksum
            decode(0x8015, altered(body, len(body) - 1, 1))

    def test_error_with_bytes_behind_its_end(self):
        kind, _, body, _ = take_frame(self.vectors["log-exists"][1])
        error = self.refused("LogExists", decode, kind, body + b"\1\2\3")
        self.assertEqual((error.detail.log, error.text), (1, "the name belongs to log 1"))


class Node:
    """Just enough of a node, on a port of its own, to lead a client about: offline tests only."""

    HEADER = struct.pack("<HQHQ", 0, 5, 2, 41)

    def __init__(self, answer):
        self.answer, self.asked, self.late, self.hellos = answer, [], [], 0
        self.pongs = True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        data = b""
        with peer:
            while chunk := peer.recv(65536):
                data += chunk
                while found := take_frame(data):
                    kind, correlation, body, size = found
                    data = data[size:]
                    if kind == 1:
                        self.hellos += 1
                        fields = (1, CLUSTER, 1, 1, 0, *[1] * 8, 0)
                        reply = (0x8001, struct.pack("<H16sHHQ8IH", *fields))
                    elif kind == 2:
                        reply = self.late + [(0x8002, correlation, self.HEADER)] * self.pongs
                        self.late = []
                    elif kind == 4:
                        reply = (0x8004, CLUSTER + struct.pack("<HIIHQHH", 1, 0, 1, 0, 5, 2, 0))
                    else:
                        self.asked.append(kind)
                        reply = self.answer(len(self.asked))
                    if reply is None:
                        return  # hangs up
                    if reply == "silence":
                        continue
                    if isinstance(reply, tuple):
                        reply = [(reply[0], correlation, self.HEADER + reply[1])]
                    peer.sendall(b"".join(frame(*each) for each in reply))

    def close(self):
        self.listener.close()


def error_body(code, outcome, retry, detail_kind=0, detail=b""):
    return (0x8000, struct.pack("<HBBIBH", code, outcome, retry, 0, detail_kind, len(detail))
            + detail + struct.pack("<H", 0))


class Routing(Refusals):
    """What a client does about leaders, against nodes that the test plays."""

    APPENDED = (0x8014, struct.pack("<QQI", 1, 0, 1))

    def node(self, answer):
        node = Node(answer)
        self.addCleanup(node.close)
        return node

    def client(self, node, timeout=5.0):
        client = Cluster([node.address], timeout=timeout)
        self.addCleanup(client.close)
        return client

    def test_not_leader_is_followed(self):
        leader = self.node(lambda _: self.APPENDED)
        detail = struct.pack("<H", 2) + paxos.pack("text", leader.address)
        other = self.node(lambda _: error_body(1, 0, 2, 1, detail))
        self.assertEqual(self.client(other).append("a", [b"x"]).count, 1)
        self.assertEqual((len(other.asked), len(leader.asked)), (1, 1))

    def test_a_circle_ends_at_the_deadline(self):
        nodes = []

        def answer(_):
            detail = struct.pack("<H", 2) + paxos.pack("text", nodes[0].address)
            return error_body(1, 0, 2, 1, detail)
        nodes.append(self.node(answer))
        self.refused("NotLeader", self.client(nodes[0], 0.3).append, "a", [b"x"])
        self.assertLess(len(nodes[0].asked), 30)  # it pauses after every few

    def test_no_leader_is_waited_for(self):
        detail = struct.pack("<HH", 0, 0)
        node = self.node(lambda n: self.APPENDED if n > 2 else error_body(1, 0, 2, 1, detail))
        self.assertEqual(self.client(node).append("a", [b"x"]).first, 0)
        self.assertEqual(len(node.asked), 3)

    def test_an_unknown_append_is_not_sent_again(self):
        node = self.node(lambda _: None)  # hangs up
        with self.assertRaises(PaxosError) as caught:
            self.client(node).append("a", [b"x"])
        self.assertEqual((caught.exception.outcome, len(node.asked)), (2, 1))
        node = self.node(lambda _: error_body(7, 2, 0))
        self.refused("LeadershipLost", self.client(node).append, "a", [b"x"])
        self.assertEqual(len(node.asked), 1)

    def test_an_unknown_read_is_sent_again(self):
        done = (0x8015, struct.pack("<QQQQII", 1, 0, 0, 0, 0, 0))
        node = self.node(lambda n: [None, error_body(7, 2, 0), done][n - 1])
        self.assertEqual(self.client(node).read("a").entries, [])
        self.assertEqual(len(node.asked), 3)

    def test_a_read_leaves_a_silent_node(self):
        silent = self.node(lambda _: "silence")
        other = self.node(lambda _: (0x8015, struct.pack("<QQQQII", 1, 0, 0, 0, 0, 0)))
        client = Cluster([silent.address, other.address], timeout=1.0)
        self.addCleanup(client.close)
        self.assertEqual(client.read("a").next, 0)
        self.assertEqual((len(silent.asked), len(other.asked)), (1, 1))

    def test_a_notice_is_passed_over(self):
        """It has correlation 0 and bit 0x4000, and comes from a version to come."""
        kind, body = self.APPENDED
        reply = [(0x4001, 0, b"later"), (0x4FFF, 0, b""), (kind, 2, Node.HEADER + body)]
        self.assertEqual(self.client(self.node(lambda _: reply)).append("a", [b"x"]).count, 1)

    def test_a_frame_that_answers_nothing_ends_the_connection(self):
        kind, body = self.APPENDED
        body = Node.HEADER + body
        for stray in ((kind, 3, body), (kind, 0, body), (0x8010, 2, body), (0x8777, 2, body)):
            with self.subTest(stray[:2]):
                node = self.node(lambda _: [stray, (kind, 2, body)])
                error = self.refused("error 0", self.client(node).append, "a", [b"x"])
                self.assertEqual((error.outcome, len(node.asked)), (2, 1))

    def test_a_late_reply_is_dropped(self):
        """An append that was given up keeps its connection; its reply comes in front of the next."""
        kind, body = self.APPENDED

        def answer(n):
            if n == 1:
                node.late = [(kind, 2, Node.HEADER + body)]
                return "silence"
            return (kind, struct.pack("<QQI", 1, n - 1, 1))
        node = self.node(answer)
        client = self.client(node, 0.3)
        with self.assertRaises(PaxosError) as caught:
            client.append("a", [b"slow"])
        self.assertEqual((caught.exception.code, caught.exception.outcome), (0, 2))
        hellos = node.hellos
        self.assertEqual([client.append("a", [b"x"]).first for _ in range(2)], [1, 2])
        self.assertEqual((node.hellos, len(node.asked)), (hellos, 3))

    def test_a_dead_connection_is_left(self):
        """One on which a request was given up, and that does not even answer a Ping."""
        node = self.node(lambda n: "silence" if n == 1 else self.APPENDED)
        node.pongs = False
        client = self.client(node, 0.3)
        with self.assertRaises(PaxosError):
            client.append("a", [b"lost"])
        hellos = node.hellos
        self.assertEqual(client.append("a", [b"x"]).first, 0)
        self.assertEqual(node.hellos, hellos + 1)

    def test_an_error_of_the_whole_connection_is_reported(self):
        """Under correlation 0, a Hello that the node could not read among them."""
        kind, body = error_body(28, 0, 0)
        node = self.node(lambda _: [(kind, 0, Node.HEADER + body)])
        self.refused("BadRequest", self.client(node).append, "a", [b"x"])

    def test_no_quorum_is_waited_out(self):
        node = self.node(lambda n: self.APPENDED if n > 2 else error_body(2, 0, 2))
        self.assertEqual(self.client(node).append("a", [b"x"]).first, 0)
        self.assertEqual(len(node.asked), 3)

    def test_a_cluster_that_went_back_is_reported(self):
        node = self.node(lambda _: self.APPENDED)
        client = self.client(node)
        client.append("a", [b"x"])
        node.HEADER = struct.pack("<HQHQ", 0, 5, 2, 40)
        with self.assertWarnsRegex(UserWarning, "went back"):
            client.append("a", [b"x"])

    def test_a_final_refusal_is_not_repeated(self):
        node = self.node(lambda _: error_body(23, 0, 0))
        self.refused("ExpectMismatch", self.client(node).append, "a", [b"x"], expect=1)
        self.assertEqual(len(node.asked), 1)

    def test_unknown_hints_are_read_as_section_8_says(self):
        node = self.node(lambda _: error_body(9999, 7, 9))
        error = self.refused("error 9999", self.client(node).append, "a", [b"x"])
        self.assertEqual((error.outcome, error.retry, len(node.asked)), (2, 0, 1))

    def test_lost_entries_are_passed_over(self):
        """Section 7: an answer ends in front of a lost range, and the Error says what lies behind."""
        def answer(n):
            if n == 2:
                return error_body(34, 0, 0, 9, struct.pack("<QQQ", 1, 2, 5))
            first, entries = ((0, [b"0", b"1"]), None, (5, [b"5"]))[n - 1]
            return (0x8015, struct.pack("<QQQQ", 1, first, 0, 6) + paxos.pack("entries", entries))
        node = self.node(answer)
        found = self.client(node).read_past_lost("a")
        self.assertEqual(found, [(0, b"0"), (1, b"1"), (5, b"5")])
        self.assertEqual(node.asked, [0x15] * 3)

    def test_a_declaration_is_sent_again(self):
        """Section 8: after LeadershipLost and a lost connection too, for asking twice is asking once."""
        declared = (0x8018, struct.pack("<QQQ", 1, 2, 5))
        node = self.node(lambda n: [None, error_body(7, 2, 0), declared][n - 1])
        done = self.client(node).declare_lost("a", 2, 5)
        self.assertEqual((done.from_, done.before, node.asked), (2, 5, [0x18] * 3))
        node = self.node(lambda _: error_body(35, 0, 0))
        error = self.refused("NotLost", self.client(node).declare_lost, "a", 2, 5)
        self.assertEqual((error.detail, len(node.asked)), (None, 1))

    def test_a_chain_is_never_sent_again(self):
        node = self.node(lambda _: error_body(4, 0, 1))
        self.refused("Overloaded", self.client(node).append, "a", [b"x"], chain=1)
        self.assertEqual(len(node.asked), 1)


@unittest.skipUnless(ENDPOINT, "PAXOS_ENDPOINT names no live node")
class Live(Refusals):
    def setUp(self):
        self.client = Cluster([ENDPOINT])
        self.addCleanup(self.client.close)
        self.name = f"python/{uuid.uuid4()}"

    def connection(self, log):
        """A connection of its own to the leader of the log's shard."""
        shard = self.client.shard_of(log)
        until = time.monotonic() + 10
        while True:
            leaders = {leader.shard: leader.leader for leader in self.client.map().leaders}
            if leaders[shard] or time.monotonic() > until:
                break
            time.sleep(0.05)
        members = {member.node: member.address for member in self.client.map().members}
        connection = Pipeline(members[leaders[shard]], shard)
        self.addCleanup(connection.close)
        return connection

    def append(self, connection, log, entries, chain=0, expect=None, create=False):
        fields = append_fields(entries, expect, chain, create)
        return connection.send("Append", log=log, **fields)

    def test_create_append_read(self):
        log = self.client.create(self.name)
        self.assertEqual(log >> 48, self.client.shard_of(self.name))
        error = self.refused("LogExists", self.client.create, self.name)
        self.assertEqual((error.outcome, error.retry, error.detail.log), (0, 0, log))
        entries = [b"first", b"", bytes(range(256)), "größe ✓".encode()]
        done = self.client.append(self.name, entries)
        self.assertEqual((done.id, done.first, done.count), (log, 0, 4))
        self.assertEqual(self.client.append(log, [b"by id"]).first, 4)
        for which in (self.name, log):
            read = self.client.read(which)
            self.assertEqual((read.id, read.from_, read.next), (log, 0, 5))
            self.assertEqual(read.entries, [*entries, b"by id"])
        self.assertEqual(self.client.read(log, 1, max_entries=2).entries, entries[1:3])
        self.assertEqual(self.client.read(log, 2, max_bytes=1).entries, entries[2:3])
        self.assertEqual(self.client.read(log, 0, max_bytes=13 + 8).entries, entries[:2])
        past = self.client.read(log, 99)
        self.assertEqual((past.from_, past.next, past.entries), (99, 5, []))
        stat = self.client.stat(log)
        self.assertEqual((stat.name, stat.id, stat.next_index), (self.name, log, 5))
        self.assertEqual(stat.bytes, sum(map(len, entries)) + 5)
        self.assertLess(abs(stat.created_ms / 1000 - time.time()), 300)

    def test_trim_seal_and_retention(self):
        """Section 7: what is trimmed is gone, indexes stay, and a sealed log takes no more."""
        log = self.client.append(self.name, [b"0", b"1", b"2"], create=True).id
        link = self.connection(self.name)

        def ask(kind, **fields):
            return link.receive(link.send(kind, **fields))

        self.assertEqual(ask("Trim", log=self.name, before=2).first, 2)
        again = ask("Trim", log=log, before=1)
        self.assertEqual((again.id, again.first, again.next), (log, 2, 3))
        error = self.refused("Trimmed", self.client.read, log, 1)
        self.assertEqual((error.detail.log, error.detail.first), (log, 2))
        read = self.client.read(log, 2)
        self.assertEqual((read.first, read.next, read.entries), (2, 3, [b"2"]))
        error = self.refused("PastEnd", ask, "Trim", log=log, before=4)
        self.assertEqual((error.detail.log, error.detail.next), (log, 3))
        as_before = (False, 0)
        ask("SetAttributes", log=log, retain_bytes=as_before, retain_entries=(True, 1),
            retain_age_ms=(True, 60_000), seal=False)
        self.client.append(log, [b"3", b"4"])
        deadline = time.monotonic() + 20
        while self.client.stat(log).first_index < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        stat = self.client.stat(log)
        self.assertEqual((stat.first_index, stat.next_index), (4, 5))
        self.assertEqual((stat.retain_entries, stat.retain_age_ms), (1, 60_000))
        ask("SetAttributes", log=log, retain_bytes=as_before, retain_entries=as_before,
            retain_age_ms=as_before, seal=True)
        error = self.refused("Sealed", self.client.append, log, [b"no"])
        self.assertEqual((error.detail.log, error.detail.next), (log, 5))
        self.assertTrue(self.client.stat(log).sealed)

    def test_what_is_there_is_not_declared_lost(self):
        """Section 7: what a member may have is no loss, nor is what was trimmed or never appended."""
        log = self.client.append(self.name, [b"0", b"1", b"2"], create=True).id
        link = self.connection(self.name)
        deadline = time.monotonic() + 20
        while link.call("Status").level < 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # Sleeps because the level rises by itself, and nobody is told.
        error = self.refused("NotLost", self.client.declare_lost, log, 1, 2)
        self.assertEqual((error.outcome, error.retry, error.detail), (0, 0, None))
        error = self.refused("PastEnd", self.client.declare_lost, log, 2, 4)
        self.assertEqual((error.detail.log, error.detail.next), (log, 3))
        self.client.call("Trim", log=log, before=2)
        error = self.refused("Trimmed", self.client.declare_lost, log, 1, 3)
        self.assertEqual((error.detail.log, error.detail.first), (log, 2))
        self.refused("BadRequest", link.call, "DeclareLost", log=log, from_=2, before=2)
        for which, consistency in ((self.name, LINEARIZABLE), (log, LOCAL)):
            reply = link.call("ListLost", log=which, consistency=consistency)
            self.assertEqual((reply.id, reply.ranges), (log, []))
        for call in (self.client.list_lost, lambda gone: self.client.declare_lost(gone, 0, 1)):
            self.refused("UnknownLog", call, self.name + "/none")
        self.assertEqual(self.client.read_past_lost(log, 2), [(2, b"2")])

    def test_a_log_is_created_with_its_retention(self):
        """Section 7: what a log keeps holds from its first entry on."""
        log = self.client.create(self.name, 1 << 20, 2, 7_000)
        stat = self.client.stat(log)
        self.assertEqual((stat.version, stat.retain_bytes, stat.retain_entries,
                          stat.retain_age_ms), (0, 1 << 20, 2, 7_000))
        self.client.append(log, [b"0", b"1", b"2", b"3"])
        deadline = time.monotonic() + 20
        while self.client.stat(log).first_index < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.client.stat(log).first_index, 2)

    def test_a_failed_expect_uses_a_slot(self):
        """Sections 6 and 7: the reply counts the slot that the append took, failed or not."""
        log = self.client.create(self.name)
        link = self.connection(self.name)
        before = link.receive(self.append(link, log, [b"a"])).header.applied_upto
        for n in range(1, 4):
            sent = self.append(link, log, [b"no"], expect=7)
            error = self.refused("ExpectMismatch", link.receive, sent)
            self.assertEqual(error.header.applied_upto, before + n)
        after = link.receive(self.append(link, log, [b"b"])).header.applied_upto
        self.assertEqual(after, before + 4)

    def test_prior_failed_comes_behind_what_it_follows(self):
        """Section 9: whichever reply is waited for first, the error that says why came before."""
        log = self.client.create(self.name)
        link = self.connection(self.name)
        for chain in range(1, 30):
            sent = [self.append(link, log, [b"no"], chain, 9)]
            sent += [self.append(link, log, [b"no"], chain) for _ in range(5)]
            self.refused("PriorFailed", link.receive, sent[-1])
            self.assertEqual(list(link.replies), sent[:-1])
            self.refused("ExpectMismatch", link.receive, sent[0])
            for prior in sent[1:-1]:
                self.refused("PriorFailed", link.receive, prior)

    def test_a_request_that_is_given_up(self):
        """Section 12: its reply is dropped when it comes, and the connection goes on."""
        log = self.client.create(self.name)
        link = self.connection(self.name)
        values = {"log": log, "from_": 0, "max_entries": 0, "max_bytes": 0,
                  "consistency": LINEARIZABLE}
        late = link.send("Read", wait_ms=20_000, **values)
        with self.assertRaises(TimeoutError):
            link.receive(late, 0.2)
        link.give_up(late)
        self.assertTrue(link.answers())
        self.assertEqual(link.receive(self.append(link, log, [b"wake"])).first, 0)
        while link.given_up:
            link.call("Ping")
        read = link.call("Read", wait_ms=0, **values)
        self.assertEqual((read.entries, link.replies), ([b"wake"], {}))

    def test_a_node_says_whether_it_is_caught_up(self):
        until = time.monotonic() + 10
        for shard in range(self.client.shards):
            link = Connection(ENDPOINT, shard)
            self.addCleanup(link.close)
            while not (status := link.call("Status")).caught_up and time.monotonic() < until:
                time.sleep(0.05)
            self.assertTrue(status.caught_up)
            self.assertEqual(status.applied_upto, status.chosen_upto)

    def test_versions(self):
        """Sections 7 and 13: a Status has the version alone; what is no range of versions meets none."""
        link = Connection(ENDPOINT)
        self.addCleanup(link.close)
        self.assertEqual("paxosd " + link.call("Status").version, link.hello.server)
        good = hello(1, 0)
        for low, high in ((3, 1), (1, 0), (2, 3)):
            with self.subTest((low, high)):
                body = good[24:28] + struct.pack("<HH", low, high) + good[32:]
                peer, code, correlation = self.talk(frame(1, 7, body))
                self.assertEqual((CODES[code], correlation), ("VersionMismatch", 7))
                self.assertEqual(peer.recv(1), b"")

    def test_errors_before_the_hello_was_read(self):
        """Section 5: under the frame's correlation, or 0 where that cannot be read."""
        good = hello(9, 0)
        for name, data, expected in (
                ("BadRequest", altered(good, 24 + 20, 1), 0),  # a bad checksum
                ("TooLarge", struct.pack("<I", 4097) + good[4:], 0),
                ("BadRequest", hello(0, 0), 0),
                ("BadRequest", paxos.request("Ping", 9), 9),
                ("WrongShard", hello(9, 0xFFFE), 9)):
            with self.subTest(name, expected=expected):
                peer, code, correlation = self.talk(data)
                self.assertEqual((CODES[code], correlation), (name, expected))
                self.assertFalse(self.receive(peer))

    def test_an_id_of_no_shard_is_of_no_log(self):
        log = 0xFFFE_0000_0000_0001
        link = self.connection(self.name)
        error = self.refused("UnknownLog", link.receive, self.append(link, log, [b"x"]))
        self.assertIn("would be in shard 65534", error.text)

    def test_expect(self):
        error = self.refused("UnknownLog", self.client.append, self.name, [b"x"], expect=0)
        self.assertEqual((error.outcome, error.retry), (0, 0))
        done = self.client.append(self.name, [b"a", b"b"], expect=0, create=True)
        error = self.refused("ExpectMismatch", self.client.append, self.name, [b"c"], expect=1)
        self.assertEqual((error.detail.log, error.detail.next, error.outcome), (done.id, 2, 0))
        self.assertEqual(self.client.append(self.name, [b"c"], expect=error.detail.next).first, 2)
        fresh = self.name + "/fresh"
        error = self.refused("ExpectMismatch", self.client.append, fresh, [b"x"], expect=3,
                             create=True)
        self.assertEqual(error.detail.next, 0)
        self.refused("UnknownLog", self.client.stat, fresh)  # a refused append creates nothing

    def test_unknown_log(self):
        shard = self.client.shard_of(self.name)
        for log in (self.name, shard << 48 | 0xFFFF_FFFF_FFFF):
            for call in (self.client.stat, self.client.read, self.client.delete):
                error = self.refused("UnknownLog", call, log)
                self.assertEqual((error.code, error.outcome, error.retry), (21, 0, 0))
            self.refused("UnknownLog", self.client.append, log, [b"x"])

    def test_chain_failure(self):
        log = self.client.create(self.name)
        link = self.connection(self.name)
        sent = [self.append(link, log, [b"0"], 5, 0), self.append(link, log, [b"no"], 5, 9),
                self.append(link, log, [b"no"], 5), self.append(link, log, [b"no"], 5, 1),
                self.append(link, self.name, [b"1"], 5),  # by name: another chain
                self.append(link, log, [b"2"], 6), self.append(link, log, [b"3"])]
        self.assertEqual(link.receive(sent[0]).first, 0)
        error = self.refused("ExpectMismatch", link.receive, sent[1])
        self.assertEqual(error.detail.next, 1)
        for prior in sent[2:4]:
            error = self.refused("PriorFailed", link.receive, prior)
            self.assertEqual((error.code, error.outcome, error.retry), (24, 0, 0))
        self.assertEqual([link.receive(each).first for each in sent[4:]], [1, 2, 3])
        self.refused("PriorFailed", link.receive, self.append(link, log, [b"no"], 5))
        again = self.connection(self.name)  # the chain failed on the other connection alone
        self.assertEqual(again.receive(self.append(again, log, [b"4"], 5)).first, 4)
        self.assertEqual(self.client.read(log).entries, [b"0", b"1", b"2", b"3", b"4"])

    def test_refused_appends_break_their_chain(self):
        log = self.client.create(self.name)
        link = self.connection(self.name)
        limit = link.hello.entry_bytes_max
        refusals = {"BadRequest": [], "TooLarge": [bytes(limit + 1)]}
        for chain, (name, entries) in enumerate(refusals.items(), 1):
            with self.subTest(name):
                first = self.append(link, log, entries, chain)
                second = self.append(link, log, [b"no"], chain)
                error = self.refused(name, link.receive, first)
                if name == "TooLarge":
                    self.assertEqual(error.detail.limit, limit)
                self.refused("PriorFailed", link.receive, second)
        self.assertEqual(self.client.stat(log).next_index, 0)

    def test_pipelined_appends(self):
        log = self.client.create(self.name)
        link = self.connection(self.name)
        sent = [self.append(link, log, [b"%d" % n, b"+"], 1) for n in range(500)]
        for n, correlation in enumerate(sent):
            self.assertEqual(link.receive(correlation).first, 2 * n)
        entries, at = [], 0
        while at < 1000:
            entries += self.client.read(log, at, max_entries=300).entries
            at = len(entries)
        self.assertEqual(entries[::2], [b"%d" % n for n in range(500)])

    def test_more_under_way_than_the_node_takes(self):
        log = self.client.append(self.name, [b"x" * 100_000], create=True).id
        link = self.connection(self.name)
        count = link.hello.requests_max + 100
        sent = [link.send("Ping") for _ in range(count)]
        reads = [link.send("Read", log=log, from_=0, max_entries=0, max_bytes=0, wait_ms=0,
                           consistency=LOCAL) for _ in range(100)]
        for correlation in sent:
            link.receive(correlation, 30)
        for correlation in reads:
            self.assertEqual(link.receive(correlation, 30).next, 1)

    def test_long_poll(self):
        log = self.client.create(self.name)
        reader, writer = self.connection(self.name), self.connection(self.name)
        started = time.monotonic()
        values = {"log": log, "max_entries": 0, "max_bytes": 0}
        woken = reader.send("Read", from_=0, wait_ms=20_000, consistency=LINEARIZABLE, **values)
        local = reader.send("Read", from_=1, wait_ms=20_000, consistency=LOCAL, **values)
        empty = reader.send("Read", from_=7, wait_ms=300, consistency=LINEARIZABLE, **values)
        reader.call("Ping")  # nothing else on the connection waits
        self.assertEqual(reader.receive(empty).entries, [])
        waited = time.monotonic() - started
        self.assertGreaterEqual(waited, 0.3)
        self.assertEqual({woken, local} & set(reader.replies), set())
        self.assertEqual(writer.receive(self.append(writer, log, [b"wake"])).first, 0)
        self.assertEqual(reader.receive(woken).entries, [b"wake"])
        self.assertNotIn(local, reader.replies)
        writer.receive(self.append(writer, log, [b"up"]))
        self.assertEqual(reader.receive(local).entries, [b"up"])
        self.assertLess(time.monotonic() - started, 10)
        gone = reader.send("Read", from_=2, wait_ms=20_000, consistency=LINEARIZABLE, **values)
        reader.call("Ping")
        self.client.delete(log)
        self.refused("UnknownLog", reader.receive, gone)

    def test_list_and_delete(self):
        names = [f"{self.name}/{n}" for n in ("a", "b", "ä", "✓")]
        ids = {name: self.client.create(name) for name in names}
        self.client.create(self.name + "-not")
        found = self.client.list(self.name + "/")
        self.assertEqual([log.name for log in found], sorted(names, key=str.encode))
        self.assertEqual({log.name: log.id for log in found}, ids)
        paged = self.client.list(self.name + "/", page=1)
        self.assertEqual([log.name for log in paged], [log.name for log in found])
        self.assertEqual(self.client.list(self.name + "/none"), [])
        self.client.append(names[0], [b"x"])
        self.client.delete(names[0])
        self.refused("UnknownLog", self.client.read, ids[names[0]])
        self.refused("UnknownLog", self.client.delete, names[0])
        self.assertEqual(len(self.client.list(self.name + "/")), 3)
        anew = self.client.create(names[0])
        self.assertGreater(anew, ids[names[0]])
        self.assertEqual(self.client.read(names[0]).entries, [])
        self.client.delete(anew)

    def test_local(self):
        done = self.client.append(self.name, [b"a", b"b"], create=True)
        until = time.monotonic() + 10
        while True:  # local answers may lag
            try:
                entries = self.client.read(self.name, consistency=LOCAL).entries
            except PaxosError as error:
                self.assertEqual(error.code, 21)  # UnknownLog
                entries = []
            if len(entries) == 2 or time.monotonic() > until:
                break
            time.sleep(0.01)
        self.assertEqual(entries, [b"a", b"b"])
        self.assertEqual(self.client.stat(done.id, LOCAL).next_index, 2)
        self.assertIn(self.name, [log.name for log in self.client.list(self.name, LOCAL)])

    def test_map_status_ping(self):
        node = Connection(ENDPOINT)
        map_, hello = self.client.map(), node.hello
        self.assertEqual((map_.cluster, map_.shards), (hello.cluster, hello.shards))
        self.assertIn(hello.node, [member.node for member in map_.members])
        self.assertEqual([leader.shard for leader in map_.leaders], list(range(map_.shards)))
        for shard in range(map_.shards):
            self.client.append(self.in_shard(shard), [b"x"], create=True)
            status = Connection(ENDPOINT, shard).call("Status")
            self.assertEqual((status.node, status.cluster), (hello.node, hello.cluster))
            self.assertEqual((status.shard, status.header.shard), (shard, shard))
            self.assertLessEqual(status.applied_upto, status.chosen_upto)
            self.assertLess(status.role, 3)
            self.assertGreater(status.durable_upto, 0)
            self.assertGreater(status.syncs, 0)
            self.assertGreaterEqual(status.sync_us, status.syncs)
        self.assertEqual(node.call("Status").shard, 0)
        node.call("Ping")

    def in_shard(self, shard):
        names = (f"{self.name}/{n}" for n in range(10_000))
        return next(name for name in names if self.client.shard_of(name) == shard)

    def test_refused_hellos(self):
        for name, cluster, shard in (("WrongCluster", bytes(15) + b"\1", 0),
                                     ("WrongShard", bytes(16), self.client.shards)):
            with self.subTest(name):
                self.refused(name, Connection, ENDPOINT, shard, cluster)
        good = hello(1, 0)
        later = {"VersionMismatch": good[:28] + b"\2\0\3\0" + good[32:],
                 "Unsupported": altered(good, 24 + 4 + 4 + 16 + 2 + 8, 1),
                 "BadRequest": altered(good, 24, 1)}
        for name, expected in later.items():
            with self.subTest(name):
                peer, code, _ = self.talk(frame(1, 1, expected[24:]))
                self.assertEqual(CODES[code], name)
                self.assertEqual(peer.recv(1), b"")

    def test_a_hello_with_more_behind_it(self):
        peer, code, _ = self.talk(frame(1, 1, hello(1, 0xFFFF)[24:] + b"later"))
        self.assertIsNone(code)
        peer.sendall(paxos.request("Ping", 2))
        self.assertEqual(self.next_frame(peer)[0], 0x8002)

    def test_what_a_node_refuses(self):
        """The vectors, with the code and the close that they state, each on its own connection."""
        shard = self.client.shard_of("orders")
        address = self.connection("orders").socket.getpeername()
        for name, encode in REFUSED.items():
            with self.subTest(name):
                expected = read_vectors()[name][0][-1]
                peer, code, _ = self.talk(hello(1, shard), address)
                self.assertIsNone(code)
                peer.sendall(encode())
                kind, _, body, _ = self.next_frame(peer)
                with self.assertRaises(PaxosError) as caught:
                    decode(kind, body)
                error = caught.exception
                outcome = ["not executed", "executed", "unknown"][error.outcome]
                answer = f"{error.code} {name_of(error.code)}, {outcome}; the connection "
                if "goes on" in expected:
                    peer.sendall(paxos.request("Ping", 99))
                    self.assertEqual(self.next_frame(peer)[:2], (0x8002, 99))
                    answer += "goes on"
                else:
                    self.assertEqual(peer.recv(1), b"")
                    answer += "is closed"
                self.assertEqual(answer, expected)

    def test_garbage_closes_the_connection_alone(self):
        for garbage in (b"GET / HTTP/1.1\r\nHost: paxosd\r\n\r\n", b"\xff" * 64, bytes(64)):
            with self.subTest(garbage):
                for greeted in (False, True):
                    peer = self.talk(hello(1, 0xFFFF))[0] if greeted else self.dial()
                    peer.sendall(garbage)
                    while self.receive(peer):
                        pass  # an Error first, perhaps
        self.assertEqual(self.client.append(self.name, [b"alive"], create=True).first, 0)

    def dial(self, address=None):
        host, _, port = ENDPOINT.rpartition(":")
        peer = socket.create_connection(address or (host.strip("[]"), int(port)), 10)
        self.addCleanup(peer.close)
        return peer

    def receive(self, peer):
        """What comes next; nothing at the end, or where the node cut the line with bytes unread."""
        try:
            speaks = select.select([peer], [], [], 10)[0]
            self.assertTrue(speaks, "the node neither speaks nor closes")
            return peer.recv(65536)
        except ConnectionResetError:
            return b""

    def next_frame(self, peer):
        data = b""
        while (found := take_frame(data)) is None:
            more = self.receive(peer)
            self.assertTrue(more, "the node closed the connection without an answer")
            data += more
        self.assertEqual(found[3], len(data))
        return found

    def talk(self, first, address=None):
        """Sends a first frame. The socket, the code if the answer is an Error, the correlation."""
        peer = self.dial(address)
        peer.sendall(first)
        kind, correlation, body, _ = self.next_frame(peer)
        try:
            decode(kind, body)
        except PaxosError as error:
            return peer, error.code, correlation
        return peer, None, correlation


if __name__ == "__main__":
    unittest.main()
