"""A socket's time-out ends one call; the socket lives on, and what comes later is read."""
import gevent
from gevent import socket

listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
listener.settimeout(0.02)
try:
    listener.accept()
except socket.timeout:
    print('accept timed out')
client = socket.socket()
client.connect(listener.getsockname())
connection, _ = listener.accept()
client.settimeout(0.02)
for attempt in (1, 2):
    try:
        client.recv(100)
    except socket.timeout:
        print('recv', attempt, 'timed out')
client.settimeout(1)
gevent.spawn_later(0.02, connection.sendall, b'late')
print('recv', client.recv(100).decode())
client.settimeout(0)
try:
    client.recv(100)
except BlockingIOError:
    print('with 0 it never waits')
client.settimeout(None)
try:
    with gevent.Timeout(0.02):
        client.recv(100)
except gevent.Timeout:
    print('a Timeout ends it as well')
client.settimeout(0.02)
sent = 0
try:
    while True:
        sent += client.send(bytes(1 << 16))
except socket.timeout:
    print('send timed out after some:', sent > 0)
received = 0
while received < sent:
    received += len(connection.recv(1 << 16))
print('all of that arrives:', received == sent)
