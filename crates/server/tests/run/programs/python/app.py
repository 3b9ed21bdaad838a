"""http.server on the socket that systemd, or `phalanx run`, has opened; says when it is ready and when it leaves."""

import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIRST_INHERITED = 3


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello from {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class InheritingServer(ThreadingHTTPServer):
    # What is under way when we leave is finished: server_close() waits for its threads.
    daemon_threads = False

    def __init__(self, listener):
        super().__init__(listener.getsockname()[:2], Hello, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


def notify(state):
    """One datagram to whoever started us; nothing if nobody wants to know."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        address = "\0" + path[1:] if path.startswith("@") else path
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(state.encode(), address)


def inherited():
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or int(os.environ.get("LISTEN_FDS", 0)) < 1:
        sys.exit("no inherited socket: LISTEN_FDS and LISTEN_PID say so")
    return socket.socket(fileno=FIRST_INHERITED)


server = InheritingServer(inherited())


def leave(*_):
    notify("STOPPING=1")
    # From another thread: it waits for serve_forever(), which this signal has interrupted.
    threading.Thread(target=server.shutdown).start()


signal.signal(signal.SIGTERM, leave)
notify("READY=1")
server.serve_forever(poll_interval=0.1)
server.server_close()
