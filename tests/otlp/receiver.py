"""A receiver of OTLP over HTTP, built on the standard's own message types (opentelemetry-proto).

    receiver.py PORT FILE [CERTIFICATE KEY]

What comes is decoded strictly: JSON with a key that the standard does not know is answered with 400. Each log
record and each metric is a line of JSON in FILE, written before the answer goes out. From JSON and from protobuf
come the same lines.
"""

import gzip
import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict, Parse, ParseError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

KINDS = {
    "/v1/logs": ("log", ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
    "/v1/metrics": ("metric", ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
}


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        kind, request_type, resources, scopes, ones = KINDS[self.path]
        form = self.headers["content-type"]
        request = request_type()
        try:
            if form == "application/json":
                Parse(body, request)
            else:
                request.ParseFromString(body)
        except ParseError as error:
            self.answer(400, json.dumps({"code": 3, "message": str(error)}).encode(), "application/json")
            return
        with open(self.server.file, "a", encoding="utf-8") as file:
            for resource in getattr(request, resources):
                of = MessageToDict(resource.resource)
                for scope in getattr(resource, scopes):
                    for one in getattr(scope, ones):
                        line = {"kind": kind, "form": form, "resource": of, "one": MessageToDict(one)}
                        file.write(json.dumps(line) + "\n")
        if form == "application/json":
            self.answer(200, b'{"partialSuccess":{}}', form)
        else:
            self.answer(200, b"", form)

    def answer(self, status, body, form):
        self.send_response(status)
        self.send_header("content-type", form)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
server.file = sys.argv[2]
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    # The hand-shake belongs to the connection's own thread.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
