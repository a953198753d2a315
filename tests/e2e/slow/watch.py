# `muster watch` in terminals of three sizes, left running. Each line on the input is a command: `shot
# NAME` writes the three screens, as they are now, to DIRECTORY/NAME.txt, and answers `done`.
# usage: watch.py MUSTER FILE DIRECTORY
import codecs
import fcntl
import os
import pty
import select
import struct
import sys
import termios

import pyte

SIZES = [(80, 24), (120, 40), (200, 60)]
muster, file, directory = sys.argv[1:]


class Terminal:
    def __init__(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.Stream(self.screen)
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
            os.environ.pop("NO_COLOR", None)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execv(muster, [muster, "watch", "-f", file])

    def read(self):
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        if not data:
            sys.exit(f"watch at {self.columns}x{self.lines} ended")
        self.stream.feed(self.decode(data))

    def text(self):
        lines = "\n".join(line.rstrip() for line in self.screen.display)
        return f"--- {self.columns} x {self.lines}\n{lines.rstrip()}\n"


terminals = [Terminal(*size) for size in SIZES]
by_fd = {t.fd: t for t in terminals}
while True:
    ready, _, _ = select.select([0, *by_fd], [], [])
    for fd in ready:
        if fd:
            by_fd[fd].read()
            continue
        line = sys.stdin.readline().split()
        if not line:
            sys.exit(0)
        with open(f"{directory}/{line[1]}.txt", "w", encoding="utf-8") as f:
            f.write("".join(t.text() for t in terminals))
        print("done", flush=True)
