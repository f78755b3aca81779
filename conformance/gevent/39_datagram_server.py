"""A DatagramServer has a greenlet for each datagram; they keep their bounds, and may end in another order."""
import gevent
from gevent import socket
from gevent.server import DatagramServer


def handle(data, address):
    print('server got', data.decode() or 'nothing')
    gevent.sleep(0.04 if data == b'slow' else 0)
    server.sendto(b'you said ' + data, address)


server = DatagramServer(('127.0.0.1', 0), handle)
server.start()
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect(('127.0.0.1', server.server_port))
client.send(b'slow')
client.send(b'quick')
for _ in range(2):
    print('client got', client.recv(100).decode())
client.send(b'')
print('client got', client.recv(100).decode() + 'nothing')
client.settimeout(0.02)
try:
    client.recv(100)
except socket.timeout:
    print('no more')
server.stop()
print('stopped')
