"""stop accepts no more, leaves the handlers so much time, and kills those who are left."""
import gevent
from gevent import socket
from gevent.pool import Pool
from gevent.queue import Queue
from gevent.server import StreamServer


def handle(connection, address):
    name = connection.recv(100).decode()
    served.put(name)
    try:
        gevent.sleep(0.06 if name == 'short' else 5)
        connection.sendall(b'bye')
        print(name, 'was served')
    except gevent.GreenletExit:
        print(name, 'was killed')
    finally:
        connection.close()


def client(name):
    # create_connection would ask a thread for the address first.
    with socket.socket() as connection:
        connection.connect(server.address)
        connection.sendall(name.encode())
        return connection.recv(100).decode() or 'the end'


served = Queue()
server = StreamServer(('127.0.0.1', 0), handle, spawn=Pool(10))
server.start()
print('started:', server.started)
tasks = {name: gevent.spawn(client, name) for name in ('short', 'long')}
for _ in tasks:
    served.get()
server.stop(timeout=0.1)
print('stopped, started:', server.started)
for name, task in tasks.items():
    print(name, 'got', task.get())
try:
    client('late')
except ConnectionRefusedError:
    print('late was refused')
