"""Shared objects as a foreign program sees them: a request, a descriptor, a page of memory (proto/sync/sync.h).

For tests that look into a page, or put something there on purpose. No atomics and no futex: who waits properly is the
library, which the command line's tests use.
"""
import mmap
import os
import struct

SYNC_BYTES = 4096
CLOSED, GATE, WAITERS, FENCE, DEPARTURES, WORDS, CELL = 64, 68, 72, 88, 96, 104, 3456
FREE, ABANDONED, EMPTY = 0, 1 << 31, 1 << 30


class Object:
    """An opened object: what the daemon said of it, and its page."""

    def __init__(self, client, kind, name=None, keep_fd=False, **options):
        if not getattr(client, "takes_memfds", False):
            client.request("hello", {"memfd": True})
            client.takes_memfds = True
        self.client = client
        self.facts = client.request("open", kind, name, options or None)
        self.id, self.client_id, self.handle = self.facts["id"], self.facts["client_id"], self.facts["handle"]
        self.page = None
        self.fd = -1
        if client.fds:
            note = client.notes.pop()
            assert note[0] == "object" and note[1][1] == self.facts["size"], note
            self.fd = client.fds.pop()
            flags = mmap.PROT_READ if self.facts["read_only"] else mmap.PROT_READ | mmap.PROT_WRITE
            self.page = mmap.mmap(self.fd, self.facts["size"], mmap.MAP_SHARED, flags)
            if not keep_fd:
                os.close(self.fd)
                self.fd = -1

    def word(self, at=WORDS):
        """Of a lock word, whose lower half comes first on this machine: the owner."""
        return struct.unpack_from("=I", self.page, at)[0]

    def put(self, value, at=WORDS):
        struct.pack_into("=I", self.page, at, value)

    def hold(self):
        """Takes a lock as if nobody else were there."""
        assert self.word() in (FREE, ABANDONED), hex(self.word())
        self.put(self.client_id)

    def close(self):
        assert self.client.request("close", self.id) is True
