"""A stand-in for the part of Cloudflare's API that certbot's plugin uses, for one zone and one token.

Usage: cloudflare.py PORT ZONE TOKEN CHALLTESTSRV

TXT records go to the management address of pebble-challtestsrv, the DNS server that the test authority asks.
"""

import json
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PORT, ZONE, TOKEN, DNS = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
ZONE_ID = "0123456789abcdef0123456789abcdef"
records = {}


def dns(path, body):
    request = urllib.request.Request(f"{DNS}/{path}", json.dumps(body).encode(), method="POST")
    urllib.request.urlopen(request, timeout=5).close()


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, result, errors=()):
        body = json.dumps({"success": not errors, "errors": list(errors), "messages": [], "result": result}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_one(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        # Read the body of every request, or the connection cannot be used again.
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(403, None, [{"code": 9109, "message": "Invalid access token"}])
        if url.path.endswith("/zones"):
            return self.answer(200, [{"id": ZONE_ID, "name": ZONE}] if query.get("name") == ZONE else [])
        prefix, _, record = url.path.partition(f"/zones/{ZONE_ID}/dns_records")
        if prefix == url.path:
            return self.answer(404, None, [{"code": 7003, "message": "No such zone"}])
        if self.command == "GET":
            wanted = (query.get("name"), query.get("content"))
            return self.answer(200, [{"id": id} for id, record in records.items() if record == wanted])
        if self.command == "POST":
            new = json.loads(body)
            assert new["type"] == "TXT", new
            id = f"{len(records) + 1:032x}"
            records[id] = (new["name"], new["content"])
            dns("set-txt", {"host": new["name"] + ".", "value": new["content"]})
            return self.answer(200, {"id": id})
        if self.command == "DELETE":
            name, _ = records.pop(record.strip("/"))
            dns("clear-txt", {"host": name + "."})
            for other, content in records.values():
                if other == name:
                    dns("set-txt", {"host": name + ".", "value": content})
            return self.answer(200, {"id": record})
        return self.answer(405, None, [{"code": 10405, "message": "Method not allowed"}])

    do_GET = do_POST = do_DELETE = handle_one


ThreadingHTTPServer(("127.0.0.1", PORT), Api).serve_forever()
