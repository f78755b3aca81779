"""What gevent asks of libuv: it prints the same lines on each libuv that works."""

import os
import signal
import sys
import tempfile
import time

import gevent
import gevent.event
import gevent.os
import gevent.pool
import gevent.queue
import gevent.server
import gevent.signal
import gevent.socket
import gevent.subprocess
from gevent.libuv import loop as libuv

print(libuv.get_version(), file=sys.stderr)


def sleepers():
    sleeps = [gevent.spawn(gevent.sleep, 0.05 + n % 10 / 1000) for n in range(1000)]
    gevent.joinall(sleeps)
    return all(sleep.successful() for sleep in sleeps)


def echo():
    def serve(connection, _):
        while data := connection.recv(4096):
            connection.sendall(data)

    def talk(number):
        total = 0
        with gevent.socket.create_connection(server.address) as client:
            for message in range(50):
                sent = b"%d:%d" % (number, message) * 100
                client.sendall(sent)
                received = b""
                while len(received) < len(sent):
                    received += client.recv(4096)
                assert received == sent
                total += len(received)
        return total

    server = gevent.server.StreamServer(("127.0.0.1", 0), serve)
    server.start()
    clients = gevent.joinall([gevent.spawn(talk, number) for number in range(50)])
    server.stop()
    return sum(client.value for client in clients)


def threads():
    pool = gevent.get_hub().threadpool
    return sum(pool.map(lambda n: (time.sleep(0.01), n)[1], range(20)))


def timeout():
    try:
        with gevent.Timeout(0.05):
            gevent.sleep(100)
    except gevent.Timeout:
        return "timed out"


def kill():
    sleep = gevent.spawn(gevent.sleep, 100)
    gevent.sleep(0)
    sleep.kill()
    return type(sleep.value).__name__


def processes():
    shell = gevent.subprocess.Popen(["sh", "-c", "read x; echo got $x; exit 3"], stdin=-1, stdout=-1)
    output, _ = shell.communicate(b"hello\n")
    others = [gevent.subprocess.Popen(["sh", "-c", f"exit {n}"]) for n in range(10)]
    return output, shell.returncode, [other.wait() for other in others]


def signals():
    came = gevent.event.Event()
    handler = gevent.signal.signal(signal.SIGUSR1, lambda *_: came.set())
    gevent.spawn_later(0.01, os.kill, os.getpid(), signal.SIGUSR1)
    result = came.wait(10)
    gevent.signal.signal(signal.SIGUSR1, handler)
    return result


def wake():
    sent = gevent.event.Event()
    watcher = gevent.get_hub().loop.async_()
    watcher.start(sent.set)
    gevent.get_hub().threadpool.spawn(watcher.send)
    result = sent.wait(10)
    watcher.close()
    return result


def files():
    changed = gevent.event.Event()
    with tempfile.NamedTemporaryFile() as file:
        watcher = gevent.get_hub().loop.stat(file.name, 0.05)
        watcher.start(changed.set)
        gevent.sleep(0.2)
        os.write(file.fileno(), b"abc")
        result = changed.wait(10), watcher.attr.st_size
        watcher.close()
    return result


def fork():
    child = gevent.os.fork_and_watch()
    if child == 0:
        gevent.sleep(0.01)
        os._exit(7)
    return os.waitstatus_to_exitcode(gevent.os.waitpid(child, 0)[1])


for scene in [sleepers, echo, threads, timeout, kill, processes, signals, wake, files, fork]:
    print(scene.__name__, scene())
gevent.get_hub().destroy(destroy_loop=True)
print("destroyed")
