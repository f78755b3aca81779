"""serve has a greenthread for each connection; its clients wait for none but their own."""
import eventlet


def echo(connection, address):
    while data := connection.recv(100):
        connection.sendall(data.upper())
    print('a connection ended')


def client(name, wait_s):
    connection = eventlet.connect(address)
    for number in (1, 2):
        connection.sendall(f'{name}{number}'.encode())
        print(name, 'got', connection.recv(100).decode())
        eventlet.sleep(wait_s)
    connection.close()
    print(name, 'is done')


listener = eventlet.listen(('127.0.0.1', 0))
address = listener.getsockname()
server = eventlet.spawn(eventlet.serve, listener, echo)
first = eventlet.spawn(client, 'slow', 0.1)
eventlet.sleep(0.02)
second = eventlet.spawn(client, 'quick', 0.02)
first.wait()
second.wait()
eventlet.sleep(0.02)
server.kill()
listener.close()
try:
    eventlet.connect(address)
except ConnectionRefusedError:
    print('closed: refused')
