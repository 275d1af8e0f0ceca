"""A server that gives an agent's own page, and events as a test wants them: hostile, broken off, or very many."""
import contextlib
import itertools
import json
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUCKETS = 18

# Each sets `window.broken` if a browser takes it for markup.
PROBES = [
    "<img src=x onerror=\"window.broken='img'\">",
    "<script>window.broken='script'</script>",
    "\"'><svg onload=\"window.broken='svg'\"></svg>",
    "</script><script>window.broken='end'</script>",
    "<a href=\"javascript:window.broken='href'\">a</a>",
    "&lt;b&gt;not bold&lt;/b&gt;",
    "__proto__",
]


def server(name, requests, latency_us=250.0):
    filled = requests // 3
    return {"name": name, "protocols": ["redis"],
            "requests": requests, "errors": requests // 1000, "bytes": requests * 200,
            "p50": latency_us, "p90": latency_us * 2, "p99": latency_us * 8, "p999": latency_us * 30,
            "max": latency_us * 90,
            "buckets": [0, 0, requests - filled - filled // 2, filled, filled // 2] + [0] * (BUCKETS - 5)}


def history(until, seconds, servers):
    """Each second alike, in columns."""
    fixed = ("name", "protocols")
    return {"t": list(range(until - seconds, until)),
            "servers": [{name: it if name in fixed else [it] * seconds for name, it in one.items()} for one in servers]}


def operation(server_name, name, requests, total_us):
    return {"server": server_name, "protocol": "redis", "operation": name, "requests": requests, "errors": 0,
            "bytes": requests * 200, "total_us": total_us, "p50": 250.0, "p90": 500.0, "p99": 2000.0, "p999": 7500.0,
            "max": 22500.0}


def slow(t, number, request, **more):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t))
    return {"time": f"{stamp}.{number:09d}Z",
            "client": "10.0.0.9:50000", "server": "10.0.0.1:6379", "protocol": "redis",
            "operation": "GET", "request": request, "response": "OK", "status": "ok", "latency_us": 20000.0 + number,
            "request_us": 1.0, "wait_us": 19990.0, "response_us": 9.0, "request_bytes": 40, "response_bytes": 5,
            "quality": "exact", "fields": {"key": request}, **more}


def ledger(lost=0, missing=0, lines=()):
    return {"lost": lost, "missing_bytes": missing, "unread_bytes": 0, "script_errors": 0, "lines": list(lines)}


def hello(version="0.0.0"):
    return {"version": version, "started_unix": 1_700_000_000, "protocols": ["redis"]}


class Scripted:
    """`scenario(server, number, send)` plays the events of the connection with that number; when it returns, the
    connection ends. What it returns is the status that the connection is refused with, if it sent nothing."""

    def __init__(self, url, scenario, transactions=()):
        with urllib.request.urlopen(url) as answer:
            self.page = answer.read()
            kept = ("content-type", "content-security-policy", "x-content-type-options", "cache-control")
            self.headers = [(name, value) for name, value in answer.headers.items() if name.lower() in kept]
        self.scenario = scenario
        self.transactions = list(transactions)
        self.connections = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.asked_slow = threading.Event()
        self.may_break_off = threading.Event()
        # Who asks for operations is answered when that may be.
        self.may_answer = threading.Event()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                with contextlib.suppress(OSError):  # The browser may have gone away.
                    scripted.answer(self)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.may_answer.set()
        self.http.shutdown()
        self.http.server_close()

    def answer(self, request):
        path = request.path.partition("?")[0]
        if path == "/":
            self.whole(request, 200, self.headers, self.page)
        elif path == "/transactions":
            body = json.dumps(self.transactions).encode()
            self.whole(request, 200, [("Content-Type", "application/json")], body)
            self.asked_slow.set()
        elif path == "/operations":
            query = request.path.partition("?")[2]
            self.may_answer.wait()
            body = json.dumps([operation("10.0.0.1:6379", query, 1000, 1e6)]).encode()
            self.whole(request, 200, [("Content-Type", "application/json")], body)
        elif path == "/events":
            self.events(request)
        else:
            self.whole(request, 404, [], b"")

    @staticmethod
    def whole(request, status, headers, body):
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def events(self, request):
        request.close_connection = True
        with self.lock:
            self.connections += 1
            number = self.connections
        has_begun = False

        def send(name, data):
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                request.send_response(200)
                request.send_header("Content-Type", "text/event-stream")
                request.send_header("Connection", "close")
                request.end_headers()
                request.wfile.write(b"retry: 200\n\n")
            request.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
            request.wfile.flush()

        try:
            status = self.scenario(self, number, send)
            if not has_begun:
                self.whole(request, status, [], b"")
        except OSError:
            pass  # The browser went away.


def hostile(scripted, number, send):
    """Refused once; then probes in every text, without loss, broken off when that was seen; then with loss. What is
    slow is told twice: when asked for, and in an event after that."""
    if number == 1:
        return 503
    now = int(time.time())
    named = [server(probe, 100) for probe in PROBES]
    operations = [operation(probe, probe, 100, 1e6) for probe in PROBES]
    lost = ledger(7, 1234, PROBES) if number > 2 else ledger()
    send("hello", hello(PROBES[0]))
    send("history", history(now, 60, named))
    scripted.asked_slow.wait(10)
    for second in itertools.count():
        requests = scripted.transactions if number == 2 and second == 1 else []
        send("tick", {"t": int(time.time()), "servers": named, "operations": operations, "slow": requests,
                      "ledger": lost})
        if requests:
            scripted.may_break_off.wait(100)
        if scripted.ended.wait(1) or requests:
            return 200


def hostile_transactions():
    now = int(time.time()) - 100
    named = ("operation", "response", "server", "client", "status", "protocol")
    return [slow(now, at, probe, **dict.fromkeys(named, probe)) for at, probe in enumerate(PROBES)]


def busy(scripted, _, send):
    """10,000 requests a second, 1,000 endpoints, and in every second as many slow ones as an event may hold."""
    send("hello", hello())
    now = int(time.time())
    send("history", history(now, 299, [server(f"10.0.0.{at}:6379", 100) for at in range(100)]))
    servers = [server(f"10.0.{at // 250}.{at % 250}:6379", 10) for at in range(1000)]
    operations = [operation("10.0.0.1:6379", f"COMMAND{at}", 1000 + at, 1e6 * at) for at in range(50)]
    while True:
        now = int(time.time())
        requests = [slow(now, at, f"get key:{at} " + "x" * 400) for at in range(100)]
        send("tick", {"t": now, "servers": servers, "operations": operations, "slow": requests, "ledger": ledger()})
        if scripted.ended.wait(1):
            return 200


def steady(scripted, _, send):
    """One endpoint, and one operation in the last minute."""
    send("hello", hello())
    while True:
        send("tick", {"t": int(time.time()), "servers": [server("10.0.0.1:6379", 100)], "slow": [], "ledger": ledger(),
                      "operations": [operation("10.0.0.1:6379", "MINUTE", 100, 1e5)]})
        if scripted.ended.wait(1):
            return 200


def sparse(scripted, _, send):
    """One endpoint that is heard in every fourth second."""
    now = int(time.time())
    heard = server("10.0.0.1:6379", 3)
    columns = history(now, 40, [heard])
    for name, column in columns["servers"][0].items():
        if name not in ("name", "protocols"):
            silent = 0 if isinstance(column[0], int) else None
            columns["servers"][0][name] = [it if at % 4 == 0 else silent for at, it in enumerate(column)]
    send("hello", hello())
    send("history", columns)
    while True:
        unread = {**ledger(), "unread_bytes": 5}
        send("tick", {"t": int(time.time()), "servers": [], "operations": [], "slow": [], "ledger": unread})
        if scripted.ended.wait(1):
            return 200
