"""Timers come in time and descriptors are served while others do nothing but sleep(0)."""
import time

import eventlet
from eventlet.green import socket

a, b = socket.socketpair()
stop = []


def storm():
    turns = 0
    end = time.monotonic() + 0.2
    while not stop and time.monotonic() < end:
        eventlet.sleep(0)
        turns += 1
    print('the storm stops, was told to:', bool(stop), 'had many turns:', turns > 100)


def timer():
    eventlet.sleep(0.02)
    print('20 ms')
    b.sendall(b'a byte')
    eventlet.sleep(0.02)
    print('40 ms')
    stop.append(True)


def reader():
    print('got', a.recv(100).decode())


threads = [eventlet.spawn(what) for what in (storm, storm, timer, reader)]
for thread in threads:
    thread.wait()
