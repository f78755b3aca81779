"""Of two who read from one socket the second is refused; one may write while another reads."""
import eventlet
from eventlet import debug
from eventlet.green import socket

a, b = socket.socketpair()


def reader(name):
    try:
        print(name, 'got', a.recv(100).decode())
    except RuntimeError:
        print(name, 'is refused: somebody else reads')


threads = [eventlet.spawn(reader, 'first'), eventlet.spawn(reader, 'second')]
eventlet.sleep(0.02)
print('write while the first reads')
a.sendall(b'from a')
print('b got', b.recv(100).decode())
b.sendall(b'from b')
for thread in threads:
    thread.wait()
victim = eventlet.spawn(reader, 'third')
eventlet.sleep(0)
victim.kill()
print('third was killed')
thread = eventlet.spawn(reader, 'fourth')
eventlet.sleep(0)
b.sendall(b'again')
thread.wait()
debug.hub_prevent_multiple_readers(False)
threads = [eventlet.spawn(reader, name) for name in ('fifth', 'sixth')]
eventlet.sleep(0)
for text in (b'one', b'two'):
    b.sendall(text)
    eventlet.sleep(0.02)
for thread in threads:
    thread.wait()
print('allowed, they read in turn')
