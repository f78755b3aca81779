"""close() does not wake who reads from the socket, shutdown() does; the peer reads the end in both cases."""
import eventlet
from eventlet.green import socket

a, b = socket.socketpair()
c, d = socket.socketpair()


def reader(name, which):
    try:
        print(name, 'read', which.recv(100).decode() or 'the end')
    finally:
        print(name, 'ends')


closed = eventlet.spawn(reader, 'reader of the closed', a)
down = eventlet.spawn(reader, 'reader of the shut down', c)
peers = [eventlet.spawn(reader, 'peer of the closed', b), eventlet.spawn(reader, 'peer of the shut down', d)]
eventlet.sleep(0.02)
a.close()
print('closed')
eventlet.sleep(0.04)
c.shutdown(socket.SHUT_RDWR)
print('shut down')
down.wait()
for peer in peers:
    peer.wait()
eventlet.sleep(0.04)
print('the reader of the closed still waits:', not closed.dead)
closed.kill()
try:
    a.recv(100)
except OSError:
    print('a later recv fails')
