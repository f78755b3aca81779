"""trampoline waits until a descriptor is ready for one direction, up to a time."""
import os

import eventlet
from eventlet.hubs import trampoline

reader, writer = os.pipe()
for fd in (reader, writer):
    os.set_blocking(fd, False)


class TooLate(Exception):
    pass


def ticks():
    for number in range(2):
        print('tick', number)
        eventlet.sleep(0.02)


eventlet.spawn(ticks)
eventlet.spawn_after(0.1, os.write, writer, b'hello')
trampoline(reader, read=True)
print('readable:', os.read(reader, 100).decode())
try:
    trampoline(reader, read=True, timeout=0.02)
except eventlet.Timeout:
    print('timed out')
try:
    trampoline(reader, read=True, timeout=0.02, timeout_exc=TooLate)
except TooLate:
    print('timed out with my own')
trampoline(writer, write=True, timeout=0.5)
print('writable')
try:
    trampoline(reader, read=True, write=True)
except RuntimeError:
    print('both directions at once are refused')
eventlet.spawn_after(0.02, os.close, writer)
trampoline(reader, read=True)
print('the end is readable:', len(os.read(reader, 100)), 'bytes')
