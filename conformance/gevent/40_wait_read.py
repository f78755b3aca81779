"""wait_read and wait_write wait until a descriptor is ready, up to a time; the end is ready, too."""
import os

import gevent
from gevent import select, socket

reader, writer = os.pipe()
for fd in (reader, writer):
    os.set_blocking(fd, False)


def ticks():
    for number in range(2):
        print('tick', number)
        gevent.sleep(0.02)


gevent.spawn(ticks)
gevent.spawn_later(0.1, os.write, writer, b'hello')
socket.wait_read(reader)
print('readable:', os.read(reader, 100).decode())
try:
    socket.wait_read(reader, timeout=0.02)
except socket.timeout:
    print('wait_read timed out')
socket.wait_write(writer)
print('writable')
try:
    while True:
        os.write(writer, bytes(4096))
except BlockingIOError:
    print('full')
try:
    socket.wait_write(writer, timeout=0.02)
except socket.timeout:
    print('wait_write timed out')
ready = [len(each) for each in select.select([reader], [writer], [], 0.02)]
print('select: readable', ready[0], 'writable', ready[1])
try:
    while os.read(reader, 4096):
        pass
except BlockingIOError:
    print('empty')
gevent.spawn_later(0.02, os.close, writer)
socket.wait_read(reader)
print('the end is readable:', len(os.read(reader, 100)), 'bytes')
