"""Docker Hub, as whoever goes through a proxy sees it: a registry that gives tokens for what everybody may read.

It answers for `registry-1.docker.io` and `auth.docker.io` with a certificate of its own, takes the images from a registry
on this machine, prints the host of every connection that it is asked for, and lets nobody through to anywhere else.

    docker_hub.py CERTIFICATE KEY REGISTRY
"""

import http.client
import http.server
import json
import socketserver
import ssl
import sys

certificate, key, registry = sys.argv[1:]
REALM = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = None

    def do_CONNECT(self):
        host = self.path.removesuffix(":443")
        print(host, flush=True)
        if host not in ("registry-1.docker.io", "auth.docker.io"):
            return self.send_error(403)
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.host = host
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def do_GET(self):
        if self.host == "auth.docker.io":
            return self.answer(200, {}, json.dumps({"token": "of " + self.path.partition("scope=")[2]}).encode())
        name = "/".join(self.path.split("/")[2:-2])
        scope = f"repository:{name}:pull".replace(":", "%3A").replace("/", "%2F")
        if not self.headers.get("Authorization", "").startswith(f"Bearer of {scope}"):
            return self.answer(401, {"WWW-Authenticate": f'{REALM},scope="repository:{name}:pull"'}, b"")
        own = http.client.HTTPConnection(registry)
        own.request("GET", self.path, headers={"Accept": self.headers["Accept"]})
        found = own.getresponse()
        self.answer(found.status, {"Content-Type": found.getheader("Content-Type")}, found.read())

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Hub)
print(server.server_port, flush=True)
server.serve_forever()
