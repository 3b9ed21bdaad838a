"""A server by hand over asyncio, on the socket that `phalanx run` has opened; the number of its descriptor is the argument."""

import asyncio
import os
import signal
import socket
import sys


async def hello(reader, writer):
    """One request for each connection."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        body = f"hello from {os.getpid()}\n".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = await asyncio.start_server(hello, sock=listener)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print("listening", flush=True)
    await ended.wait()
    server.close()


asyncio.run(main())
