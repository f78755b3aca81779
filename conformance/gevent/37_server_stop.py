"""stop accepts no more, leaves the handlers so much time, and kills those who are left."""
import gevent
from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer


def handle(connection, address):
    name = connection.recv(100).decode()
    try:
        gevent.sleep(0.06 if name == 'short' else 5)
        connection.sendall(b'bye')
        print(name, 'was served')
    except gevent.GreenletExit:
        print(name, 'was killed')
    finally:
        connection.close()


def client(name):
    with socket.create_connection(server.address) as connection:
        connection.sendall(name.encode())
        return connection.recv(100).decode() or 'the end'


server = StreamServer(('127.0.0.1', 0), handle, spawn=Pool(10))
server.start()
print('started:', server.started)
tasks = {name: gevent.spawn(client, name) for name in ('short', 'long')}
gevent.sleep(0.02)
server.stop(timeout=0.1)
print('stopped, started:', server.started)
for name, task in tasks.items():
    print(name, 'got', task.get())
try:
    client('late')
except ConnectionRefusedError:
    print('late was refused')
