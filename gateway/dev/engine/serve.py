"""The embedded engine: llama.cpp's own OpenAI server on 127.0.0.1, through the package xllamacpp.

Prints one JSON line on stdout when it answers requests; logs go to stderr. SIGTERM ends it, and with
--exit-with-parent the end of its standard input does too.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="GGUF file")
    parser.add_argument("--mmproj", help="GGUF file of the vision projector")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alias", required=True, help="the name that /v1/models shows")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--slots", type=int, default=4, help="requests that are generated side by side")
    parser.add_argument("--context", type=int, default=2048, help="tokens of one slot")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input reaches its end")
    return parser.parse_args()


def default_threads():
    # Its threads spin while they wait, so on few cores a second one takes the time of the rest of the chain.
    return max(1, min(8, (os.cpu_count() or 1) // 2))


def start_server(arguments):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = arguments.model
    if arguments.mmproj:
        params.mmproj.path = arguments.mmproj
    params.model_alias = {arguments.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = arguments.port
    params.n_parallel = arguments.slots
    params.n_ctx = arguments.slots * arguments.context
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = arguments.threads
    params.use_jinja = True
    params.ui = False
    params.endpoint_metrics = True
    params.endpoint_slots = True
    return xllamacpp.Server(params)


def exit_with_parent():
    while os.read(0, 4096):
        pass
    os._exit(0)


def main():
    arguments = parse_arguments()
    for path in filter(None, (arguments.model, arguments.mmproj)):
        if not os.path.isfile(path):
            sys.exit(f"{path}: no such file; wanted a GGUF model file")
    # The native server has no shutdown that is both quick and safe, and it holds nothing worth saving.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if arguments.exit_with_parent:
        threading.Thread(target=exit_with_parent, daemon=True).start()
    started = time.monotonic()
    server = start_server(arguments)
    ready = {"ready": True, "url": server.listening_address, "startMs": round((time.monotonic() - started) * 1000)}
    print(json.dumps(ready), flush=True)
    while True:
        signal.pause()


main()
