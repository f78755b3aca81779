"""A StreamServer with a pool serves no more at once than the pool holds; the others wait their turn."""
import gevent
from gevent import socket
from gevent.server import StreamServer


def handle(connection, address):
    name = connection.recv(100).decode()
    print(name, 'is served, free', server.pool.free_count())
    connection.sendall(b'hello')
    connection.recv(100)
    print(name, 'left')
    connection.close()


def client(name):
    # create_connection would ask a thread for the address first.
    with socket.socket() as connection:
        connection.connect(server.address)
        print(name, 'connected')
        connection.sendall(name.encode())
        connection.recv(100)
        gevent.sleep(0.2)


server = StreamServer(('127.0.0.1', 0), handle, spawn=2)
server.start()
tasks = []
for name in ('a', 'b', 'c', 'd'):
    tasks.append(gevent.spawn(client, name))
    gevent.sleep(0.04)
gevent.joinall(tasks)
gevent.sleep(0.02)
print('in the end, free', server.pool.free_count())
server.stop()
