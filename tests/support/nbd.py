"""nbdkit as a child process, and a client of it: what the tests of its plugins share. The protocol is nbd's fixed newstyle."""

import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

READ, WRITE, FLUSH, TRIM, ZERO = 0, 1, 3, 4, 6
PR_SET_CHILD_SUBREAPER = 36
DEADLINE_S = 120  # of anything that is waited for; reached only by a hang


def missing():
    """What these tests lack here, in words; None: nothing."""
    if not shutil.which("nbdkit") or not shutil.which("nbdcopy"):
        return "nbdkit is not here (on Debian: apt install nbdkit libnbd-bin)"
    return None


def has_python_plugin():
    """Whether Debian's plugin is here."""
    return missing() is None and subprocess.run(["nbdkit", "python", "--dump-plugin"], stdout=subprocess.DEVNULL,
                                                stderr=subprocess.DEVNULL).returncode == 0


class Server:
    """An nbdkit that serves on a Unix socket. As a daemon, which it becomes unless `foreground`, it is waited for, too."""

    number = 0

    def __init__(self, folder, *words, foreground=False, prefix=(), **environment):
        Server.number += 1
        folder = Path(folder)
        self.socket = str(folder / f"socket-{Server.number}")
        pid_file, self.log = folder / f"pid-{Server.number}", folder / f"log-{Server.number}"
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the daemon's parent ends: this process waits for it
        command = [*prefix, "nbdkit", "-U", self.socket, "-P", pid_file, "--log=stderr", *(["-f"] if foreground else ["-v"]), *words]
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          env={**os.environ, **environment})
        if not foreground and self.child.wait(DEADLINE_S) != 0:
            raise AssertionError(f"nbdkit ended with {self.child.returncode}; it said:\n{self.said()}")
        # The socket listens before a daemon's parent ends; the pid file is written later.
        end = time.monotonic() + DEADLINE_S
        while not (pid_file.exists() and pid_file.read_text().endswith("\n")):
            if time.monotonic() > end or (foreground and self.child.poll() is not None):
                raise AssertionError(f"nbdkit does not serve; it said:\n{self.said()}")
            time.sleep(0.01)
        self.pid = int(pid_file.read_text())
        self.status = None

    def said(self):
        return self.log.read_text(errors="backslashreplace")

    def errors(self):
        """What it reported, without what -v adds."""
        return "\n".join(line for line in self.said().split("\n") if ": debug: " not in line)

    def wait(self):
        """Its status when it has ended, as Popen.returncode."""
        if self.status is None:
            signal.alarm(DEADLINE_S)
            _, status = os.waitpid(self.pid, 0)
            signal.alarm(0)
            self.status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            self.child.returncode = self.status if self.pid == self.child.pid else self.child.returncode
        return self.status

    def stop(self):
        """Ends it as an administrator does, and returns its status. It waits for connections that have no request in flight: close them."""
        if self.status is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def uri(self):
        return f"nbd+unix:///?socket={self.socket}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()


class Disk:
    """A connection."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(server.socket)
        self.cookie, self.waiting = 0, {}
        magic, option_magic, flags = struct.unpack(">8s8sH", self.receive_bytes(18))
        assert (magic, option_magic) == (b"NBDMAGIC", b"IHAVEOPT")
        self.socket.sendall(struct.pack(">I", flags & 3) + struct.pack(">8sIIIH", b"IHAVEOPT", 7, 6, 0, 0))
        while True:
            _, _, kind, size = struct.unpack(">QIII", self.receive_bytes(20))
            data = self.receive_bytes(size)
            if kind == 1:
                break
            if kind >> 31:
                raise ConnectionRefusedError(data)
            if struct.unpack(">H", data[:2])[0] == 0:
                self.size, self.flags = struct.unpack(">QH", data[2:12])

    def receive_bytes(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionResetError("nbdkit has closed the connection")
            data += part
        return bytes(data)

    def send(self, kind, offset=0, size=0, data=b"", flags=0):
        """Begins a request, and returns its cookie."""
        self.cookie += 1
        self.waiting[self.cookie] = size if kind == READ else 0
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, flags, kind, self.cookie, offset, size or len(data)) + data)
        return self.cookie

    def receive(self):
        """The cookie, the error number and the data of a request that has ended."""
        _, error, cookie = struct.unpack(">IIQ", self.receive_bytes(16))
        size = self.waiting.pop(cookie)
        return cookie, error, self.receive_bytes(size) if not error else b""

    def ask(self, *words, **more):
        """The error number and the data of one request."""
        cookie = self.send(*words, **more)
        received, error, data = self.receive()
        assert received == cookie
        return error, data

    def read(self, offset, size):
        error, data = self.ask(READ, offset, size)
        assert error == 0, os.strerror(error)
        return data

    def write(self, offset, data):
        error, _ = self.ask(WRITE, offset, data=data)
        assert error == 0, os.strerror(error)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stop_under_load(server, connections=4):
    """Ends it while it has requests of several connections, 16 of each, and returns its status."""
    begun, threads = threading.Barrier(connections + 1), []

    def load():
        with Disk(server) as disk:
            for _ in range(16):
                disk.send(READ, 0, 4096)
            begun.wait()
            try:
                while True:
                    disk.receive()
                    disk.send(READ, 0, 4096)
            except OSError:
                pass  # it has ended

    for _ in range(connections):
        threads.append(threading.Thread(target=load))
        threads[-1].start()
    begun.wait()
    status = server.stop()
    for thread in threads:
        thread.join()
    return status
