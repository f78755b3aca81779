"""close() does not wake who reads from the socket, shutdown() does; the peer reads the end in both cases."""
import eventlet
from eventlet.green import socket


def reader(which):
    try:
        print('read', which.recv(100).decode() or 'the end')
    finally:
        print('reader ends')


a, b = socket.socketpair()
thread = eventlet.spawn(reader, a)
eventlet.sleep(0.02)
a.close()
print('closed')
eventlet.sleep(0.04)
print('the reader still waits:', not thread.dead)
print('the peer reads', b.recv(100).decode() or 'the end')
thread.kill()
try:
    a.recv(100)
except OSError:
    print('a later recv fails')

a, b = socket.socketpair()
thread = eventlet.spawn(reader, a)
eventlet.sleep(0.02)
a.shutdown(socket.SHUT_RDWR)
print('shut down')
thread.wait()
print('the peer reads', b.recv(100).decode() or 'the end')
