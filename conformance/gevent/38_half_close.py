"""Who has shut down writing still reads; both ends see the end of the other, and no more."""
import gevent
from gevent import socket
from gevent.server import StreamServer


def handle(connection, address):
    received = b''
    while data := connection.recv(100):
        received += data
    print('server read to the end:', received.decode())
    for part in (b'one ', b'two'):
        connection.sendall(part)
        gevent.sleep(0.02)
    connection.shutdown(socket.SHUT_WR)
    print('server said its end')
    try:
        connection.sendall(b'never sent')
    except BrokenPipeError:
        print('server cannot write behind its end')
    connection.close()


server = StreamServer(('127.0.0.1', 0), handle)
server.start()
client = socket.socket()
client.connect(server.address)
client.sendall(b'question')
client.shutdown(socket.SHUT_WR)
print('client said its end')
answer = b''
while data := client.recv(100):
    answer += data
print('client read to the end:', answer.decode())
print('and again:', client.recv(100).decode() or 'the end')
client.close()
server.stop()
