"""Of two who read from one socket the second is refused; one may write while another reads."""
import gevent
from gevent import socket
from gevent.exceptions import ConcurrentObjectUseError

a, b = socket.socketpair()


def reader(name):
    try:
        print(name, 'got', a.recv(100).decode())
    except ConcurrentObjectUseError:
        print(name, 'is refused: somebody else reads')


tasks = [gevent.spawn(reader, 'first'), gevent.spawn(reader, 'second')]
gevent.sleep(0.02)
print('write while the first reads')
a.sendall(b'from a')
print('b got', b.recv(100).decode())
b.sendall(b'from b')
gevent.joinall(tasks)
task = gevent.spawn(reader, 'third')
gevent.sleep(0)
task.kill()
print('third was killed')
task = gevent.spawn(reader, 'fourth')
gevent.sleep(0)
b.sendall(b'again')
task.join()
