"""A StreamServer has a greenlet for each connection; its clients wait for none but their own."""
import gevent
from gevent import socket
from gevent.server import StreamServer


def echo(connection, address):
    while data := connection.recv(100):
        connection.sendall(data.upper())
    connection.close()
    print('a connection ended')


def connect():
    # create_connection would ask a thread for the address first.
    client = socket.socket()
    client.connect(server.address)
    return client


def client(name, wait_s):
    with connect() as connection:
        for number in (1, 2):
            connection.sendall(f'{name}{number}'.encode())
            print(name, 'got', connection.recv(100).decode())
            gevent.sleep(wait_s)
    return name + ' is done'


server = StreamServer(('127.0.0.1', 0), echo)
server.start()
first = gevent.spawn(client, 'slow', 0.1)
gevent.sleep(0.02)
second = gevent.spawn(client, 'quick', 0.02)
for task in gevent.iwait([first, second]):
    print(task.value)
gevent.sleep(0.02)
server.stop()
try:
    connect()
except ConnectionRefusedError:
    print('stopped: refused')
