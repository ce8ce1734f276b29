"""A server of gRPC, and a client that calls it through nginx. Questions and answers are lines of JSON.

The service is `shop.Goods` with `Get` (unary), `List` (answers a stream) and `Echo` (a stream both ways). Messages are plain
bytes, so that no compiler of definitions is needed.
"""

import json
import sys
import threading
from concurrent import futures

import grpc

DEADLINE_S = 20
COUNT = threading.Lock()
calls = 0


def count():
    global calls
    with COUNT:
        calls += 1


def get(request, context):
    count()
    return b"one"


def listed(request, context):
    count()
    yield from (b"one", b"two", b"three")


def echo(requests, context):
    count()
    yield from requests


SERVICE = grpc.method_handlers_generic_handler(
    "shop.Goods",
    {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "List": grpc.unary_stream_rpc_method_handler(listed),
        "Echo": grpc.stream_stream_rpc_method_handler(echo),
    },
)


def call(to, method, metadata):
    metadata = [tuple(pair) for pair in metadata]
    with grpc.insecure_channel(to) as channel:
        path = f"/shop.Goods/{method}"
        given = {"metadata": metadata, "timeout": DEADLINE_S}
        if method == "Get":
            # Asked for as a future, whose status and metadata are there in either case.
            answer = channel.unary_unary(path).future(b"please", **given)
            answers = [] if answer.exception() else [answer.result()]
        else:
            if method == "List":
                answer = channel.unary_stream(path)(b"please", **given)
            else:
                answer = channel.stream_stream(path)(iter([b"a", b"b"]), **given)
            answers = []
            try:
                answers.extend(answer)
            except grpc.RpcError:
                pass
        return {
            "code": answer.code().name,
            "details": answer.details(),
            "answers": [text.decode() for text in answers],
            # A status alone is headers that end the stream: clients show them as trailing metadata.
            "trailers": {key: value for key, value in answer.trailing_metadata() or ()},
        }


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers((SERVICE,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"upstream": f"127.0.0.1:{port}"}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        if question["do"] == "calls":
            answer = {"calls": calls}
        else:
            answer = call(question["to"], question["method"], question["metadata"])
        print(json.dumps(answer), flush=True)
    server.stop(None)


main()
