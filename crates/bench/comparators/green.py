"""The gevent and eventlet comparators: green threads, as an echo server and as a runtime of tasks.

Usage: green.py gevent|eventlet echo ADDRESS:PORT
       green.py gevent|eventlet tasks
"""

import sys
from time import perf_counter_ns

if sys.argv[1] == "gevent":
    from gevent import Greenlet, sleep, socket, spawn
    from gevent.queue import Queue

    join = Greenlet.join
else:
    from eventlet import sleep, spawn
    from eventlet.green import socket
    from eventlet.greenthread import GreenThread
    from eventlet.queue import Queue

    join = GreenThread.wait

BUFFER_BYTES = 32 * 1024
BACKLOG = 1024


def serve(address):
    """Echoes until the process ends."""
    host, port = address.rsplit(":", 1)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    listener.listen(BACKLOG)
    print("listening on %s:%d" % listener.getsockname(), flush=True)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # out of descriptors, most likely
            sleep(0.05)
        else:
            spawn(echo, connection)


def echo(connection):
    with connection:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while received := connection.recv(BUFFER_BYTES):
                connection.sendall(received)
        except OSError:
            pass  # a broken connection ends its own task and nothing else


def run_jobs():
    """Does what the lines on stdin say, and tells how long it took: see src/tasks.rs."""
    for line in sys.stdin:
        name, *counts = line.split()
        print("ns", JOBS[name](*map(int, counts)), flush=True)


def yields(tasks, times):
    def work():
        for _ in range(times):
            sleep(0)

    all_tasks = [spawn(work) for _ in range(tasks)]
    start = perf_counter_ns()
    for task in all_tasks:
        join(task)
    return perf_counter_ns() - start


def spawns(count):
    def work():
        pass

    start = perf_counter_ns()
    for _ in range(count):
        join(spawn(work))
    return perf_counter_ns() - start


def channel(count):
    there, back = Queue(1), Queue(1)

    def answer():
        for _ in range(count):
            back.put(there.get())

    answering = spawn(answer)
    start = perf_counter_ns()
    for value in range(count):
        there.put(value)
        back.get()
    elapsed = perf_counter_ns() - start
    join(answering)
    return elapsed


def sleeps(count):
    started = 0

    def work():
        nonlocal started
        started += 1
        sleep(3600)

    start = perf_counter_ns()
    for _ in range(count):
        spawn(work)
    while started < count:
        sleep(0)
    return perf_counter_ns() - start


JOBS = {"yield": yields, "spawn": spawns, "channel": channel, "sleep": sleeps}

if sys.argv[2] == "echo":
    serve(sys.argv[3])
else:
    run_jobs()
