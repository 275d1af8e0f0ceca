"""Makes the gRPC calls that it is told to and says what it saw: `grpc_client.py TARGET`.

Each line of the standard input is a call, or a list of calls that are made at the same time. A call is an
object: `kind` (unary_unary and so on), `method`, `requests` (texts), and perhaps `timeout` (seconds),
`cancel_after` (so many responses, then the call is cancelled), `pause` (seconds before each further
request). For each line there is one, an object or a list of objects: `code`, `message`, `responses` (how
many), `last` (the last of them), `us` (how long it took).
"""
import json
import sys
import threading
import time

import grpc


def messages(requests, pause):
    for number, request in enumerate(requests):
        if number > 0:
            time.sleep(pause)
        yield request


def make(channel, call):
    kind, path = call["kind"], "/record.Methods/" + call["method"]
    requests = [text.encode() for text in call["requests"]]
    start, code, message, count, last = time.monotonic(), grpc.StatusCode.OK, "", 0, b""
    stub = getattr(channel, kind)(path)
    argument = messages(requests, call.get("pause", 0)) if kind.startswith("stream") else requests[0]
    try:
        if kind.endswith("unary"):
            last = stub(argument, timeout=call.get("timeout"))
            count = 1
        else:
            answers = stub(argument, timeout=call.get("timeout"))
            for last in answers:
                count += 1
                if count == call.get("cancel_after"):
                    answers.cancel()
    except grpc.RpcError as error:
        code, message = error.code(), error.details()
    us = (time.monotonic() - start) * 1e6
    return {"code": code.name, "message": message, "responses": count, "last": last.decode(), "us": us}


def together(channel, calls):
    results = [None] * len(calls)

    def work(at):
        results[at] = make(channel, calls[at])

    threads = [threading.Thread(target=work, args=[at]) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def main():
    options = (("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0))
    with grpc.insecure_channel(sys.argv[1], options=options) as channel:
        for line in sys.stdin:
            call = json.loads(line)
            done = together(channel, call) if isinstance(call, list) else make(channel, call)
            print(json.dumps(done), flush=True)


main()
