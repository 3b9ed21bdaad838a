"""For gunicorn: answers who it is."""

import os
from urllib.parse import parse_qs


def app(environ, start_response):
    identity = parse_qs(environ["QUERY_STRING"]).get("id", [""])[0]
    body = f"{identity} {os.getpid()} 0".encode()
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]
